/**
 * Every RPC of the server, by every protocol, for every kind of caller that must be refused. What is
 * expected is read off the contract; a new RPC is covered as soon as it exists.
 */
import { randomUUID } from 'node:crypto';

import { create, getOption, toJson, type DescMethod, type Message } from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { http } from '../../../gen/google/api/annotations_pb.ts';
import { scope, ScopeTarget } from '../../../gen/molten/v1/options_pb.ts';
import { SERVICES } from '../../../src/protocol/services/mounted.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket, type RecordedSocket } from '../../support/web-socket.ts';
import { refusedCallers, type RefusedCallers } from './refused-callers.ts';
import { sampleOf } from './sample-requests.ts';
import { login, makeUser } from './team.ts';

const METHODS: readonly DescMethod[] = Object.values(SERVICES).flatMap(({ methods }) => methods);

let server: TestServer;
let callers: RefusedCallers;

beforeAll(async () => {
  const clock = createManualClock();
  server = await startTestServer({}, { clock });
  callers = await refusedCallers(server, clock);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** Makes a call and tells its code; 0 when it is answered. */
type Caller = (method: DescMethod, request: Message, token: string | undefined) => Promise<number>;

interface AnyTransport {
  unary(method: DescMethod, ...rest: readonly unknown[]): Promise<unknown>;
  stream(
    method: DescMethod,
    ...rest: readonly unknown[]
  ): Promise<{ readonly message: AsyncIterable<unknown> }>;
}

function overTransport(make: (url: string) => Transport): Caller {
  let transport: Transport | undefined;
  return async (method, request, token) => {
    transport ??= make(server.url);
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    try {
      // The transport's own types want to know the method before it is chosen.
      const ask = transport as unknown as AnyTransport;
      if (method.methodKind === 'server_streaming') {
        const { message } = await ask.stream(method, undefined, 2000, headers, once(request));
        for await (const _ of message) break;
      } else {
        await ask.unary(method, undefined, 2000, headers, request);
      }
      return 0;
    } catch (error) {
      return ConnectError.from(error).code;
    }
  };
}

async function* once(message: Message): AsyncIterable<Message> {
  yield message;
}

const HTTP_CODES: Readonly<Record<number, number>> = {
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.NotFound,
};

async function overRest(
  method: DescMethod,
  request: Message,
  { token, headers = {} }: { readonly token?: string | undefined; readonly headers?: object },
): Promise<number> {
  const { pattern, body } = getOption(method, http);
  const json = toJson(method.input, create(method.input, request)) as Record<string, unknown>;
  const template = typeof pattern.value === 'string' ? pattern.value : '';
  const named = new Set<string>();
  const path = template.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    const jsonName = method.input.fields.find((one) => one.name === name)?.jsonName ?? '';
    named.add(jsonName);
    const value = json[jsonName];
    return encodeURIComponent(typeof value === 'string' ? value : 'x');
  });
  const rest = Object.fromEntries(Object.entries(json).filter(([name]) => !named.has(name)));
  const content = body === '' ? {} : { body: body === '*' ? rest : (rest[body] ?? {}) };
  const texts = Object.entries(rest).filter(([, value]) => typeof value === 'string');
  const query =
    body === '' ? `?${new URLSearchParams(texts as [string, string][]).toString()}` : '';
  const answer = await server.request(String(pattern.case).toUpperCase(), path + query, {
    ...{ ...content, headers: { ...headers } },
    ...(token === undefined ? {} : { token }),
  });
  return HTTP_CODES[answer.status] ?? (answer.status < 300 ? 0 : -answer.status);
}

const WAYS: readonly (readonly [string, Caller])[] = [
  ['Connect', overTransport((baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' }))],
  ['gRPC', overTransport((baseUrl) => createGrpcTransport({ baseUrl }))],
  ['gRPC-Web', overTransport((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' }))],
  ['REST', (method, request, token) => overRest(method, request, { token })],
];

describe.each(WAYS)('over %s', (way, call) => {
  const methods = METHODS.filter(
    (method) => way !== 'REST' || getOption(method, http).pattern.case !== undefined,
  );

  it('every RPC refuses every broken credential', async () => {
    expect(callers.broken.size).toBeGreaterThan(30);
    for (const method of methods) {
      const request = sampleOf(method);
      for (const [name, token] of callers.broken) {
        const code = await call(method, request, token);
        expect([method.name, name, code]).toEqual([method.name, name, Code.Unauthenticated]);
      }
    }
  }, 120_000);

  it('every RPC that is not public refuses callers without a credential', async () => {
    for (const method of methods) {
      const isPublic = getOption(method, scope).target === ScopeTarget.PUBLIC;
      const code = await call(method, sampleOf(method), undefined);
      if (isPublic) expect([method.name, code]).not.toEqual([method.name, Code.PermissionDenied]);
      else expect([method.name, code]).toEqual([method.name, Code.Unauthenticated]);
    }
  }, 60_000);

  it('every RPC that demands a scope refuses callers whose scopes do not cover it', async () => {
    for (const method of methods) {
      const { target, action } = getOption(method, scope);
      if (action === '') continue;
      for (const [name, token] of callers.narrow) {
        const isKeyOfIt = name === 'of another key' && target === ScopeTarget.SOME_KEYS;
        if (isKeyOfIt) continue;
        const code = await call(method, sampleOf(method), token);
        expect([method.name, name, code]).toEqual([method.name, name, Code.PermissionDenied]);
      }
    }
  }, 60_000);
});

/** What is served as server-sent events, each from the contract. */
const STREAMS = METHODS.filter(
  (method) =>
    method.methodKind === 'server_streaming' && getOption(method, http).pattern.case !== undefined,
);

describe('a stream of server-sent events', () => {
  const headers = { accept: 'text/event-stream' };
  const watch = (token?: string): Promise<number> => overGet('/v1/watch?collection=things', token);

  async function overGet(path: string, token?: string): Promise<number> {
    const { status } = await server.request('GET', path, {
      ...{ headers, ...(token === undefined ? {} : { token }) },
    });
    return status;
  }

  it('is one of several, that of audit records among them', () => {
    expect(STREAMS.length).toBeGreaterThan(3);
    expect(STREAMS).toContain(SERVICES.audit.method.streamAuditRecords);
  });

  it.each(STREAMS.map((method) => [method.name, method] as const))(
    'of %s refuses whoever may not have it',
    async (_, method) => {
      const refused = { unknown: Code.Unauthenticated, short: Code.PermissionDenied };
      const ask = (token?: string): Promise<number> =>
        overRest(method, sampleOf(method), { token, headers });
      expect(await ask()).toBe(refused.unknown);
      for (const [name, token] of callers.broken) {
        expect([name, await ask(token)]).toEqual([name, refused.unknown]);
      }
      const { SOME_KEYS, EACH_PART } = ScopeTarget;
      const isSome = [SOME_KEYS, EACH_PART].some((one) => one === getOption(method, scope).target);
      for (const [name, token] of callers.narrow) {
        if (name === 'of another key' && isSome) continue;
        expect([name, await ask(token)]).toEqual([name, refused.short]);
      }
    },
    60_000,
  );

  it('of a watch by GET refuses them too', async () => {
    expect(await watch()).toBe(401);
    for (const [name, token] of callers.broken) {
      expect([name, await watch(token)]).toEqual([name, 401]);
    }
    for (const [name, token] of callers.narrow) {
      if (name === 'of another key') continue;
      expect([name, await watch(token)]).toEqual([name, 403]);
    }
  }, 60_000);
});

describe('a WebSocket', () => {
  const open = (headers = {}): Promise<RecordedSocket> =>
    openSocket(`${server.url.replace('http', 'ws')}/ws`, headers);

  it('refuses every broken credential, in the frame and in the handshake', async () => {
    for (const [name, token] of callers.broken) {
      await using framed = await open();
      framed.send({ action: 'AUTH', token });
      await using shown = await open({ authorization: `Bearer ${token}` });
      for (const socket of [framed, shown]) {
        expect([name, await socket.closed()]).toEqual([name, 1008]);
        expect(socket.frames).toEqual([{ error: expect.any(String), detail: expect.any(String) }]);
      }
    }
  }, 60_000);

  it.each([
    ['AUTH without a token', { action: 'AUTH' }, 'missing_token'],
    ['AUTH with an empty one', { action: 'AUTH', token: '' }, 'missing_token'],
    ['AUTH with one that is no text', { action: 'AUTH', token: { a: 1 } }, 'missing_token'],
    ['SUBSCRIBE', { action: 'SUBSCRIBE', id: 's', collection: 'things' }, 'invalid_action'],
    ['UNSUBSCRIBE', { action: 'UNSUBSCRIBE', id: 's' }, 'invalid_action'],
    ['ACK', { action: 'ACK', id: 's', resumeToken: 'x' }, 'invalid_action'],
  ])('takes no %s from who has no token', async (_, frame, error) => {
    await using socket = await open();
    socket.send(frame);
    expect(await socket.closed()).toBe(1008);
    expect(socket.frames).toEqual([{ error, detail: expect.any(String) }]);
  });

  it('shows holders of narrow scopes nothing but what they cover', async () => {
    const put = (key: string): Promise<unknown> =>
      server.asRoot('PUT', `/v1/collections/things/documents/${key}`, { body: { fields: {} } });
    await using witness = await open({ authorization: `Bearer ${await server.rootToken()}` });
    witness.send({ action: 'AUTH' });
    await expect.poll(() => witness.frames.length).toBe(2);
    for (const [name, token] of callers.narrow) {
      await using socket = await open();
      socket.send({ action: 'AUTH', token });
      await socket.find(({ status }) => status === 'authenticated');
      socket.send({ action: 'SUBSCRIBE', id: 's', collection: 'things' });
      const answer = await socket.find(({ id }) => id === 's');
      const reach = name === 'of another key' ? 'started' : 'SCOPE_MISSING';
      expect([name, answer['error']?.reason ?? answer['event']]).toEqual([name, reach]);
      const key = `k1-${name.replaceAll(' ', '-')}`;
      await put(key);
      await witness.find((frame) => frame['key'] === key);
      // What comes after it would come behind it.
      socket.send({ action: 'UNSUBSCRIBE', id: 's' });
      await socket.find(({ event }) => event === 'unsubscribed');
      expect([name, JSON.stringify(socket.frames).includes(key)]).toEqual([name, false]);
    }
  }, 60_000);
});

describe.each(WAYS)('over %s', (_, call) => {
  it('a key of another user is neither shown, rotated nor ended', async () => {
    const scopes = ['read:things:*'];
    const names = [randomUUID(), randomUUID()] as const;
    for (const name of names) await makeUser(server, name, { scopes });
    const [ada, mallory] = [await login(server, names[0]), await login(server, names[1])];
    const make = { token: ada.token, body: { scopes } };
    const made = await server.request('POST', '/v1/apiKeys', make);
    const apiKey = String(made.body.apiKey.apiKeyId);
    const { listApiKeys, rotateApiKey, revokeApiKey } = SERVICES.apiKeys.method;
    const codeOf = async (
      method: DescMethod,
      request: Readonly<Record<string, string>>,
      token: string,
    ): Promise<readonly [string, number]> => [
      ...([method.name, await call(method, create(method.input, request), token)] as const),
    ];
    const own = await server.request('POST', '/v1/apiKeys', { ...make, token: mallory.token });
    for (const token of [mallory.token, String(own.body.text)]) {
      expect(await codeOf(listApiKeys, { owner: names[0] }, token)).toEqual([
        ...['ListApiKeys', Code.PermissionDenied],
      ]);
      for (const method of [rotateApiKey, revokeApiKey]) {
        // As if there were no such key.
        const unknown = await codeOf(method, { apiKey: apiKey.replaceAll(/[0-9]/g, 'z') }, token);
        expect(await codeOf(method, { apiKey }, token)).toEqual(unknown);
        expect([Code.PermissionDenied, Code.NotFound]).toContain(unknown[1]);
      }
    }
    const listed = await server.request('GET', '/v1/apiKeys', { token: mallory.token });
    expect(listed.text).not.toContain(apiKey);
    const proof = { headers: { 'x-api-key': String(made.body.text) } };
    expect((await server.request('GET', '/v1/sessions/current', proof)).status).toBe(200);
  });
});
