/**
 * gRPC server reflection, v1 and v1alpha (the same messages under two names): clients that have no proto
 * files ask the server for them. It tells the contract, which is public; no credential is asked for.
 */
import {
  createRegistry,
  toBinary,
  type DescExtension,
  type DescFile,
  type DescService,
  type Registry,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { CallOrigin } from '../call.ts';
import { originOf } from '../connect/origin.ts';
import { countAnonymous, countRequest, type AddressLimit } from '../http/address-limit.ts';
import { toConnectError } from '../mapping/error.ts';

/** What may be asked. */
export interface ReflectionBounds {
  /** How much each address may ask: a question is a call without a credential. */
  readonly addressLimit: AddressLimit;
  /** The refusal of a question that is turned away; undefined: it is answered. */
  readonly admit: () => DomainError | undefined;
}

/** Questions of one stream; a client that asks for everything there is needs fewer. */
const QUESTIONS_MAX = 1000;

/** Status codes of the gRPC protocol that reflection answers inside its messages. */
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

interface Question {
  readonly case: string | undefined;
  readonly value?: unknown;
}

/** Registers both versions; they tell of the given services, of health and of themselves. */
export function registerReflection(
  router: ConnectRouter,
  services: readonly DescService[],
  bounds: ReflectionBounds,
): void {
  const catalogue = createCatalogue([...services, Health, ServerReflection, ServerReflectionAlpha]);

  async function* answerAll(
    requests: AsyncIterable<{ readonly messageRequest: Question }>,
    context: HandlerContext,
  ): AsyncIterable<{ originalRequest: never; messageResponse: never }> {
    const origin = originOf(context);
    let asked = 0;
    for await (const request of requests) {
      asked += 1;
      const refusal = refusalOf(origin, asked, bounds);
      if (refusal !== undefined) throw toConnectError(refusal);
      const messageResponse = catalogue.answer(request.messageRequest);
      // Both versions have the same shape, which their generated types cannot say.
      yield { originalRequest: request as never, messageResponse: messageResponse as never };
    }
  }

  router.service(ServerReflection, { serverReflectionInfo: answerAll });
  router.service(ServerReflectionAlpha, { serverReflectionInfo: answerAll });
}

/** Why the question of this number ends its stream. The first one was let in, and counted, as the request. */
function refusalOf(
  { address, requestId, isCounted }: CallOrigin,
  asked: number,
  { addressLimit, admit }: ReflectionBounds,
): DomainError | undefined {
  if (asked > QUESTIONS_MAX) return tooMany();
  const isFirst = asked === 1;
  const turnedAway = isFirst ? undefined : admit();
  if (turnedAway !== undefined) return turnedAway;
  const request = { address, requestId, route: ServerReflection.typeName };
  const verdict = isFirst && isCounted === true ? undefined : countRequest(addressLimit, request);
  if (verdict?.refusal !== undefined) return verdict.refusal;
  return countAnonymous(addressLimit, request)?.refusal;
}

function tooMany(): DomainError {
  const limit = QUESTIONS_MAX.toString();
  const message = `this stream has asked ${limit} questions already; open another one`;
  return new DomainError('QUOTA_EXCEEDED', message, { metadata: { limit } });
}

interface Catalogue {
  answer(question: Question): unknown;
}

function createCatalogue(services: readonly DescService[]): Catalogue {
  const files = collectFiles(services);
  const registry = createRegistry(...files.values());

  function answer({ case: kind, value }: Question): unknown {
    switch (kind) {
      case 'listServices': {
        const service = services.map(({ typeName: name }) => ({ name }));
        return { case: 'listServicesResponse', value: { service } };
      }
      case 'fileByFilename':
        return fileAnswer(files, files.get(String(value)));
      case 'fileContainingSymbol':
        return fileAnswer(files, fileOfSymbol(registry, String(value)));
      case 'fileContainingExtension':
        return fileAnswer(files, extensionOf(registry, value)?.file);
      case 'allExtensionNumbersOfType':
        return extensionNumbers(registry, String(value));
      default:
        return failure(UNIMPLEMENTED, 'the question is not known');
    }
  }

  return { answer };
}

/** All files that services need, by name, without the `.proto` that descriptors leave out. */
function collectFiles(services: readonly DescService[]): ReadonlyMap<string, DescFile> {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    for (const dependency of file.dependencies) add(dependency);
    files.set(file.proto.name, file);
  };
  for (const { file } of services) add(file);
  return files;
}

/** A symbol is a type, a service, a method or a field; the last two belong to what contains them. */
function fileOfSymbol(registry: Registry, symbol: string): DescFile | undefined {
  const found = registry.get(symbol);
  if (found !== undefined) return found.file;
  const dot = symbol.lastIndexOf('.');
  return dot === -1 ? undefined : registry.get(symbol.slice(0, dot))?.file;
}

function extensionOf(registry: Registry, question: unknown): DescExtension | undefined {
  const { containingType = '', extensionNumber = 0 } = Object(question) as {
    readonly containingType?: string;
    readonly extensionNumber?: number;
  };
  return extensionsOf(registry, containingType).find(({ number }) => number === extensionNumber);
}

function extensionsOf(registry: Registry, typeName: string): readonly DescExtension[] {
  return [...registry].filter(
    (type): type is DescExtension =>
      type.kind === 'extension' && type.extendee.typeName === typeName,
  );
}

function extensionNumbers(registry: Registry, typeName: string): unknown {
  if (registry.getMessage(typeName) === undefined) {
    return failure(NOT_FOUND, `there is no message '${typeName}'`);
  }
  const extensionNumber = extensionsOf(registry, typeName).map(({ number }) => number);
  const value = { baseTypeName: typeName, extensionNumber };
  return { case: 'allExtensionNumbersResponse', value };
}

/** The file asked for with everything it imports, so that one answer is enough. */
function fileAnswer(files: ReadonlyMap<string, DescFile>, asked: DescFile | undefined): unknown {
  if (asked === undefined) return failure(NOT_FOUND, 'there is no such file or symbol');
  const wanted = new Set<DescFile>();
  const add = (file: DescFile): void => {
    if (wanted.has(file)) return;
    wanted.add(file);
    for (const dependency of file.dependencies) add(files.get(dependency.proto.name) ?? dependency);
  };
  add(asked);
  const fileDescriptorProto = [...wanted].map(encoded);
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

/** What does not change is encoded once. */
const ENCODED = new WeakMap<DescFile, Uint8Array>();

function encoded(file: DescFile): Uint8Array {
  const known = ENCODED.get(file);
  if (known !== undefined) return known;
  const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
  ENCODED.set(file, bytes);
  return bytes;
}

function failure(errorCode: number, errorMessage: string): unknown {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
