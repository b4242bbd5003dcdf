/**
 * Every RPC of the server, by every protocol, for every kind of caller that must be refused. What is
 * expected is read off the contract; a new RPC is covered as soon as it exists.
 */
import { create, getOption, toJson, type DescMethod, type Message } from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { http } from '../../../gen/google/api/annotations_pb.ts';
import { AdminService } from '../../../gen/molten/v1/admin_pb.ts';
import { ApiKeyService } from '../../../gen/molten/v1/api_keys_pb.ts';
import { AuditService } from '../../../gen/molten/v1/audit_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { CollectionService } from '../../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { OperationService } from '../../../gen/molten/v1/operations_pb.ts';
import { scope, ScopeTarget } from '../../../gen/molten/v1/options_pb.ts';
import { SnapshotService } from '../../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { TokenService } from '../../../gen/molten/v1/tokens_pb.ts';
import { UserService } from '../../../gen/molten/v1/users_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket } from '../../support/web-socket.ts';
import { forgedTokens } from './forged-tokens.ts';
import { sampleOf } from './sample-requests.ts';
import { delegate, login, makeUser } from './team.ts';

const METHODS = [
  ...[DocumentService, CollectionService, AuthService, SystemService, WatchService],
  ...[SnapshotService, OperationService, UserService, TokenService, ApiKeyService, AuditService],
  ...[AdminService],
].flatMap(({ methods }): readonly DescMethod[] => methods);

let server: TestServer;
/** Callers whose credential is refused whatever they ask. */
const broken = new Map<string, string>();
/** Callers whose credential is sound and does not cover what they ask. */
const narrow = new Map<string, string>();

beforeAll(async () => {
  const clock = createManualClock();
  server = await startTestServer({}, { clock });
  const root = await server.rootToken();
  const scopes = ['read:things:*'];
  await makeUser(server, 'ada', { scopes });
  const ada = await login(server, 'ada');
  const expired = await server.request('POST', '/v1/tokens', {
    ...{ token: root, body: { clientId: 'x', scopes: ['*:*:*'], ttl: '1s' } },
  });
  clock.advance(2000);
  const revoked = await delegate(server, root, ['*:*:*']);
  const parent = await delegate(server, root, ['admin:*:*']);
  const child = await delegate(server, parent.token, ['admin:*:*']);
  for (const { tokenId } of [revoked, parent]) {
    await server.asRoot('DELETE', `/v1/tokens/${tokenId}`);
  }
  await makeUser(server, 'gone', { roles: ['admin'] });
  const gone = await login(server, 'gone');
  const goneKey = await server.request('POST', '/v1/apiKeys', {
    ...{ token: gone.token, body: { scopes: ['*:*:*'] } },
  });
  await server.asRoot('PATCH', '/v1/users/gone', { state: 'USER_STATE_DISABLED' });
  const ended = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['*:*:*'] });
  await server.asRoot('DELETE', `/v1/apiKeys/${String(ended.body.apiKey.apiKeyId)}`);
  for (const [name, token] of [
    ['malformed', 'not-a-token'],
    ['expired', String(expired.body.token)],
    ['revoked', revoked.token],
    ['parent revoked', child.token],
    ['a refresh token', ada.refreshToken],
    ['of a disabled user', gone.token],
    ['an API key of a disabled user', String(goneKey.body.text)],
    ['an API key that ended', String(ended.body.text)],
    ...(await forgedTokens(server)),
  ] as const) {
    broken.set(name, token);
  }
  narrow.set(
    'without scopes that cover it',
    (await delegate(server, root, ['read:none:none'])).token,
  );
  narrow.set('of another collection', (await delegate(server, root, ['admin:others:*'])).token);
  narrow.set('of another key', (await delegate(server, root, ['admin:things:k2'])).token);
  const key = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['admin:others:*'] });
  narrow.set('an API key of another collection', String(key.body.text));
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
};

async function overRest(method: DescMethod, request: Message, token?: string): Promise<number> {
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
  const answer = await server.request(String(pattern.case).toUpperCase(), path, {
    ...content,
    ...(token === undefined ? {} : { token }),
  });
  return HTTP_CODES[answer.status] ?? (answer.status < 300 ? 0 : -answer.status);
}

const WAYS: readonly (readonly [string, Caller])[] = [
  ['Connect', overTransport((baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' }))],
  ['gRPC', overTransport((baseUrl) => createGrpcTransport({ baseUrl }))],
  ['gRPC-Web', overTransport((baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' }))],
  ['REST', overRest],
];

describe.each(WAYS)('over %s', (way, call) => {
  const methods = METHODS.filter(
    (method) => way !== 'REST' || getOption(method, http).pattern.case !== undefined,
  );

  it('every RPC refuses every broken credential', async () => {
    expect(broken.size).toBeGreaterThan(30);
    for (const method of methods) {
      const request = sampleOf(method);
      for (const [name, token] of broken) {
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
      for (const [name, token] of narrow) {
        const isKeyOfIt = name === 'of another key' && target === ScopeTarget.SOME_KEYS;
        if (isKeyOfIt) continue;
        const code = await call(method, sampleOf(method), token);
        expect([method.name, name, code]).toEqual([method.name, name, Code.PermissionDenied]);
      }
    }
  }, 60_000);
});

/** The routes of MoltenDB that are not public, with a body that each takes. */
const COMPAT: readonly (readonly [method: string, path: string, body?: object])[] = [
  ['POST', '/auth/delegate', { client_id: 'x', scopes: ['read:things:*'] }],
  ['POST', '/auth/refresh', {}],
  ['DELETE', '/auth/tokens/x', {}],
  ['POST', '/set', { collection: 'things', data: { k1: { n: 1 } } }],
  ['POST', '/update', { collection: 'things', data: { k1: { n: 1 } } }],
  ['POST', '/get', { collection: 'things', keys: 'k1' }],
  ['POST', '/delete', { collection: 'things', keys: 'k1' }],
  ['POST', '/schema', { collection: 'things', schema: {} }],
  ['GET', '/stats'],
  ['POST', '/snapshot', {}],
  ['GET', '/collections/things'],
  ['GET', '/collections/things/docs/k1'],
  ['POST', '/analytics', { collection: 'things', metric: { type: 'COUNT' } }],
  ['GET', '/system/metrics'],
];

describe.each(COMPAT.map((route) => [`${route[0]} ${route[1]}`, route] as const))(
  'the route %s',
  (_, [method, path, body]) => {
    it('refuses every broken credential, and those that do not cover it', async () => {
      const content = body === undefined ? {} : { body };
      expect((await server.request(method, path, content)).status).toBe(401);
      for (const [name, token] of broken) {
        const { status } = await server.request(method, path, { token, ...content });
        expect([name, status]).toEqual([name, 401]);
      }
      // Refreshing takes any token that is refreshed at all; figures are of what the caller may see.
      if (path === '/auth/refresh' || path === '/stats') return;
      for (const [name, token] of narrow) {
        // Lists and figures show what is covered.
        const isSome = path === '/collections/things' || path === '/analytics';
        if (name === 'of another key' && isSome) continue;
        const { status } = await server.request(method, path, { token, ...content });
        expect([name, status]).toEqual([name, 403]);
      }
    });
  },
);

describe('a watch', () => {
  it('over SSE refuses every broken credential, and those that do not cover it', async () => {
    const path = '/v1/watch?collection=things';
    const headers = { accept: 'text/event-stream' };
    expect((await server.request('GET', path, { headers })).status).toBe(401);
    for (const [name, token] of broken) {
      const { status } = await server.request('GET', path, { token, headers });
      expect([name, status]).toEqual([name, 401]);
    }
    for (const [name, token] of narrow) {
      if (name === 'of another key') continue;
      const { status } = await server.request('GET', path, { token, headers });
      expect([name, status]).toEqual([name, 403]);
    }
  });

  it('over WebSocket refuses every broken credential', async () => {
    for (const [name, token] of broken) {
      await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
      socket.send({ action: 'AUTH', token });
      expect([name, await socket.closed()]).toEqual([name, 1008]);
      expect(socket.frames.some(({ event }) => event === 'started')).toBe(false);
    }
  }, 60_000);
});
