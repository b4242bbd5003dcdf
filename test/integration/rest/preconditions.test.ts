/**
 * A precondition that does not hold is VERSION_MISMATCH, ABORTED and 409, whichever it is and however it
 * is given, and changes nothing.
 */
import { Code, ConnectError, createClient, type Client } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const collection = 'guarded';
const place = `/v1/collections/${collection}/documents`;

/** A document at version 2, or none, and a condition that does not hold for it. */
const UNMET = [
  { title: 'exists: true, of none', isThere: false, condition: { exists: true }, found: '0' },
  { title: 'exists: false, of one', isThere: true, condition: { exists: false }, found: '2' },
  { title: 'an old version', isThere: true, condition: { version: '1' }, found: '2' },
  { title: 'a version of none', isThere: false, condition: { version: '1' }, found: '0' },
  { title: 'another sequence', isThere: true, condition: { sequence: '1' }, found: undefined },
  { title: 'a sequence of none', isThere: false, condition: { sequence: '1' }, found: undefined },
] as const;

type Unmet = (typeof UNMET)[number];

const HEADERS = [
  { title: 'If-Match: *', isThere: false, header: ['if-match', '*'] },
  { title: 'If-None-Match: *', isThere: true, header: ['if-none-match', '*'] },
  { title: 'If-Match with a version', isThere: true, header: ['if-match', '"1"'] },
  { title: 'If-Match with a tag', isThere: true, header: ['if-match', '"2.1"'] },
] as const;

/** Writes whose only hindrance is their precondition. */
const WRITES = {
  PUT: { body: { fields: { n: 9 } } },
  // It fits a document that is there, and no other.
  PATCH: { change: { patch: [{ op: 'replace', path: '/n', value: 9 }] } },
  DELETE: undefined,
} as const;

const METHODS = ['PUT', 'PATCH', 'DELETE'] as const;

let keys = 0;

async function prepare({ isThere }: { readonly isThere: boolean }): Promise<string> {
  const key = `k${String(keys++)}`;
  for (const n of isThere ? [1, 2] : []) {
    await server.asRoot('PUT', `${place}/${key}`, { body: { fields: { n } } });
  }
  return key;
}

/** What is there, and the newest change of the store. */
async function stateOf(key: string): Promise<unknown> {
  const { body } = await server.asRoot('GET', `${place}/${key}`);
  const status = await server.asRoot('GET', '/v1/status');
  return [body.document ?? body.reason, status.body.sequence];
}

const LIST = METHODS.flatMap((method) => UNMET.map((unmet) => ({ ...unmet, method })));

describe('a precondition that does not hold', () => {
  it.each(LIST)('by REST: $method with $title', async ({ method, condition, ...unmet }) => {
    const key = await prepare(unmet);
    const before = await stateOf(key);
    const [[name, value] = []] = Object.entries(condition);
    const query = method === 'DELETE' ? `?precondition.${String(name)}=${String(value)}` : '';
    const write = WRITES[method];
    const body = write && { ...write, precondition: condition };
    const answer = await server.asRoot(method, `${place}/${key}${query}`, body);
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({ reason: 'VERSION_MISMATCH', title: 'aborted' });
    if (unmet.found !== undefined) expect(answer.body.metadata.found).toBe(unmet.found);
    expect(await stateOf(key)).toEqual(before);
  });

  it.each(METHODS.flatMap((method) => HEADERS.map((one) => ({ ...one, method }))))(
    'by REST: $method with $title',
    async ({ method, header: [name, value], ...unmet }) => {
      const key = await prepare(unmet);
      const before = await stateOf(key);
      const answer = await server.request(method, `${place}/${key}`, {
        ...{ token: await server.rootToken(), headers: { [name]: value } },
        ...(WRITES[method] && { body: WRITES[method] }),
      });
      expect([answer.status, answer.body.reason]).toEqual([409, 'VERSION_MISMATCH']);
      expect(await stateOf(key)).toEqual(before);
    },
  );

  it('leaves the write alone when it holds', async () => {
    for (const condition of [{ exists: true }, { version: '2' }]) {
      const [[name, value] = []] = Object.entries(condition);
      const key = await prepare({ isThere: true });
      const query = `?precondition.${String(name)}=${String(value)}&validateOnly=true`;
      expect((await server.asRoot('DELETE', `${place}/${key}${query}`)).status).toBe(200);
      const body = { ...WRITES.PUT, precondition: condition };
      expect((await server.asRoot('PUT', `${place}/${key}`, body)).status).toBe(200);
      const next = `?precondition.${String(name)}=${value === '2' ? '3' : String(value)}`;
      const gone = await server.asRoot('DELETE', `${place}/${key}${next}`);
      expect([gone.status, gone.body.result?.deleted]).toEqual([200, true]);
    }
    const made = { ...WRITES.PUT, precondition: { exists: false } };
    const key = await prepare({ isThere: false });
    expect((await server.asRoot('PUT', `${place}/${key}`, made)).status).toBe(200);
  });

  const rpcs = (['Connect', 'gRPC'] as const).flatMap((protocol) =>
    UNMET.map((unmet) => ({ ...unmet, protocol })),
  );
  it.each(rpcs)('by $protocol: $title', async ({ protocol, ...unmet }) => {
    const key = await prepare(unmet);
    const before = await stateOf(key);
    const create = protocol === 'gRPC' ? createGrpcTransport : createConnectTransport;
    const transport = create({ baseUrl: server.url, httpVersion: '2' });
    const headers = { authorization: `Bearer ${await server.rootToken()}` };
    for (const call of callsOf(createClient(DocumentService, transport), key, unmet)) {
      for (const validateOnly of [false, true]) {
        const failed = await call({ validateOnly, headers }).catch((error: unknown) => error);
        expect(failed).toBeInstanceOf(ConnectError);
        const error = failed as ConnectError;
        const [info] = error.findDetails(ErrorInfoSchema);
        expect([error.code, info?.reason]).toEqual([Code.Aborted, 'VERSION_MISMATCH']);
        if (unmet.found !== undefined) expect(info?.metadata['found']).toBe(unmet.found);
      }
    }
    expect(await stateOf(key)).toEqual(before);
  });
});

type Call = (how: {
  readonly validateOnly: boolean;
  readonly headers: Readonly<Record<string, string>>;
}) => Promise<unknown>;

/** Every RPC that takes a precondition; the batches write another document before. */
function callsOf(
  client: Client<typeof DocumentService>,
  key: string,
  { condition }: Unmet,
): readonly Call[] {
  const [[name, value] = []] = Object.entries(condition);
  const typed = typeof value === 'string' ? BigInt(value) : value;
  const precondition = { condition: { case: name, value: typed } as never };
  const fields = { content: { case: 'fields', value: { n: 9 } } } as const;
  const change = { merge: { n: 9 } };
  const target = { collection, key, precondition };
  return [
    ({ validateOnly, headers }) =>
      client.setDocument({ ...target, body: fields, validateOnly }, { headers }),
    ({ validateOnly, headers }) =>
      client.updateDocument({ ...target, change, validateOnly }, { headers }),
    ({ validateOnly, headers }) =>
      client.updateDocument(
        { ...target, change, validateOnly, allowMissing: !('exists' in condition) },
        { headers },
      ),
    ({ validateOnly, headers }) => client.deleteDocument({ ...target, validateOnly }, { headers }),
    ({ validateOnly, headers }) => {
      const writes = [
        { key: `${key}-other`, body: fields },
        { key, body: fields, precondition },
      ];
      return client.batchSetDocuments({ collection, writes, validateOnly }, { headers });
    },
    ({ validateOnly, headers }) => {
      const updates = [{ key, change, precondition }];
      return client.batchUpdateDocuments({ collection, updates, validateOnly }, { headers });
    },
  ];
}
