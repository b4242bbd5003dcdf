/** A sound credential is taken over every protocol, in every place where one may be shown. */
import { createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket } from '../../support/web-socket.ts';
import { login, makeUser } from './team.ts';

type Headers = Readonly<Record<string, string>>;

const COLLECTION = 'c';
const SCOPES = [`read:${COLLECTION}:*`];

let server: TestServer;
let key = '';
let token = '';

beforeAll(async () => {
  server = await startTestServer();
  await makeUser(server, 'ada', { scopes: SCOPES });
  ({ token } = await login(server, 'ada'));
  const made = await server.request('POST', '/v1/apiKeys', { token, body: { scopes: SCOPES } });
  key = String(made.body.text);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** Who the caller is, and how a watch begins. */
type Way = (headers: Headers) => Promise<readonly [subject: string, watch: string]>;

function overTransport(make: (baseUrl: string) => Transport): Way {
  return async (headers) => {
    const transport = make(server.url);
    const { principal } = await createClient(AuthService, transport).whoAmI({}, { headers });
    const watch = createClient(WatchService, transport);
    const targets = [{ collection: COLLECTION }];
    for await (const { kind } of watch.watch({ targets }, { headers })) {
      return [principal?.subject ?? '', kind === 1 ? 'started' : String(kind)];
    }
    return [principal?.subject ?? '', 'ended'];
  };
}

function overHttp(accept: string): Way {
  return async (headers) => {
    const who = await server.request('GET', '/v1/sessions/current', { headers });
    const answer = await fetch(`${server.url}/v1/watch?collection=${COLLECTION}`, {
      headers: { ...headers, accept },
    });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    const first = String((await reader?.read())?.value);
    await reader?.cancel();
    return [String(who.body.principal?.subject), /started/i.test(first) ? 'started' : first];
  };
}

async function overWebSocket(headers: Headers): ReturnType<Way> {
  await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`, headers);
  socket.send({ action: 'SUBSCRIBE', id: 's', collection: COLLECTION });
  const { event } = await socket.find((frame) => frame['id'] === 's');
  // The connection says that somebody is in, and a watch says who may read.
  return ['ada', String(event)];
}

const WAYS: readonly (readonly [string, Way])[] = [
  ['Connect', overTransport((baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' }))],
  ['gRPC', overTransport((baseUrl) => createGrpcTransport({ baseUrl }))],
  ['gRPC-Web', overTransport((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' }))],
  ['REST', overHttp('application/x-ndjson')],
  ['server-sent events', overHttp('text/event-stream')],
  ['WebSocket', overWebSocket],
];

const PROOFS: readonly (readonly [string, () => Headers])[] = [
  ['an API key as X-API-Key', () => ({ 'x-api-key': key })],
  ['an API key as a bearer token', () => ({ authorization: `Bearer ${key}` })],
  ['a token as a bearer token', () => ({ authorization: `Bearer ${token}` })],
  ['a scheme in another case', () => ({ authorization: `bearer ${token}` })],
  ['one credential in both headers', () => ({ authorization: `Bearer ${key}`, 'x-api-key': key })],
];

describe.each(WAYS)('over %s', (_, way) => {
  it.each(PROOFS)('%s is taken', async (_name, headers) => {
    expect(await way(headers())).toEqual(['ada', 'started']);
  });
});

describe('over WebSocket', () => {
  it.each([
    ['an API key', () => key],
    ['a token', () => token],
  ])('%s in the AUTH frame is taken', async (_, proof) => {
    await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
    socket.send({ action: 'AUTH', token: proof() });
    await socket.find(({ status }) => status === 'authenticated');
    await server.asRoot('PUT', `/v1/collections/${COLLECTION}/documents/k`, {
      body: { fields: {} },
    });
    expect(await socket.find(({ event }) => event === 'change')).toMatchObject({ key: 'k' });
  });
});
