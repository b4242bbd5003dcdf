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
import type { ConnectRouter } from '@connectrpc/connect';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

/** Status codes of the gRPC protocol that reflection answers inside its messages. */
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

interface Question {
  readonly case: string | undefined;
  readonly value?: unknown;
}

/** Registers both versions; they tell of the given services, of health and of themselves. */
export function registerReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const catalogue = createCatalogue([...services, Health, ServerReflection, ServerReflectionAlpha]);

  async function* answerAll(
    requests: AsyncIterable<{ readonly messageRequest: Question }>,
  ): AsyncIterable<{ originalRequest: never; messageResponse: never }> {
    for await (const request of requests) {
      const messageResponse = catalogue.answer(request.messageRequest);
      // Both versions have the same shape, which their generated types cannot say.
      yield { originalRequest: request as never, messageResponse: messageResponse as never };
    }
  }

  router.service(ServerReflection, { serverReflectionInfo: answerAll });
  router.service(ServerReflectionAlpha, { serverReflectionInfo: answerAll });
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
  const fileDescriptorProto = [...wanted].map((file) =>
    toBinary(FileDescriptorProtoSchema, file.proto),
  );
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function failure(errorCode: number, errorMessage: string): unknown {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
