/** Reflection, in both versions and over every protocol that can stream both ways. */
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const PROTOCOLS: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  'gRPC-Web': (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' }),
  Connect: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' }),
};

const WAYS = Object.keys(PROTOCOLS).flatMap((protocol) =>
  (['v1', 'v1alpha'] as const).map((version) => ({ protocol, version })),
);

type Question =
  | {
      readonly case: 'listServices' | 'fileContainingSymbol' | 'fileByFilename';
      readonly value: string;
    }
  | { readonly case: 'allExtensionNumbersOfType'; readonly value: string };

interface Answer {
  readonly case: string | undefined;
  readonly value?: unknown;
}

describe.each(WAYS)('reflection $version over $protocol', ({ protocol, version }) => {
  /** All questions in one stream, without a credential. */
  async function ask(...questions: readonly Question[]): Promise<readonly Answer[]> {
    const transport = PROTOCOLS[protocol]?.(server.url);
    if (transport === undefined) throw new Error(`unknown protocol ${protocol}`);
    const requests = questions.map((messageRequest) => ({ messageRequest }));
    async function* each(): AsyncIterable<(typeof requests)[number]> {
      yield* requests;
    }
    const answers: Answer[] = [];
    const responses =
      version === 'v1'
        ? createClient(ServerReflection, transport).serverReflectionInfo(each())
        : createClient(ServerReflectionAlpha, transport).serverReflectionInfo(each());
    for await (const { messageResponse } of responses) answers.push(messageResponse);
    return answers;
  }

  it('lists the services, itself among them', async () => {
    const [answer] = await ask({ case: 'listServices', value: '' });
    expect(answer?.case).toBe('listServicesResponse');
    const { service } = answer?.value as { readonly service: readonly { readonly name: string }[] };
    expect(service.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        ...['molten.v1.DocumentService', 'molten.v1.WatchService', 'grpc.health.v1.Health'],
        `grpc.reflection.${version}.ServerReflection`,
      ]),
    );
  });

  it('gives files from which a client is made that knows what it may ask', async () => {
    const [answer] = await ask({
      case: 'fileContainingSymbol',
      value: 'molten.v1.DocumentService',
    });
    expect(answer?.case).toBe('fileDescriptorResponse');
    const { fileDescriptorProto } = answer?.value as {
      readonly fileDescriptorProto: readonly Uint8Array[];
    };
    const file = fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    const registry = createFileRegistry(
      create(FileDescriptorSetSchema, { file: file.toReversed().toSorted(importsFirst(file)) }),
    );
    const service = registry.getService('molten.v1.DocumentService');
    expect(service?.methods.map(({ name }) => name)).toContain('QueryDocuments');
  });

  it('answers what is unknown in the stream, which goes on', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: 'molten.v1.NoSuchService' },
      { case: 'fileByFilename', value: 'molten/v1/system.proto' },
    );
    expect(answers.map((answer) => answer.case)).toEqual([
      'errorResponse',
      'fileDescriptorResponse',
    ]);
    expect(answers[0]?.value).toMatchObject({ errorCode: 5 });
  });
});

type File = ReturnType<typeof fromBinary<typeof FileDescriptorProtoSchema>>;

/** Orders files so that each comes after what it imports. */
function importsFirst(files: readonly File[]): (one: File, other: File) => number {
  const depthOf = (name: string): number => {
    const file = files.find((one) => one.name === name);
    return 1 + Math.max(0, ...(file?.dependency ?? []).map(depthOf));
  };
  return (one, other) => depthOf(one.name) - depthOf(other.name);
}
