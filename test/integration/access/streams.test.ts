import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';

import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket, type RecordedSocket } from '../../support/web-socket.ts';
import { delegate, login, makeUser } from './team.ts';

/** A stream of server-sent events that tells how it ended. */
async function openEvents(
  server: TestServer,
  token: string,
): Promise<{ readonly ended: Promise<string> }> {
  const response = await fetch(`${server.url}/v1/watch?collection=c`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
  });
  expect(response.status).toBe(200);
  return { ended: response.text() };
}

/** A native stream that has begun, and tells how it ended. */
async function openGrpc(
  server: TestServer,
  token: string,
): Promise<{ readonly ended: Promise<ConnectError> }> {
  const client = createClient(WatchService, createGrpcTransport({ baseUrl: server.url }));
  const headers = { authorization: `Bearer ${token}` };
  const messages = client.watch({ targets: [{ collection: 'c' }] }, { headers });
  const iterator = messages[Symbol.asyncIterator]();
  await iterator.next();
  const drain = async (): Promise<ConnectError> => {
    try {
      while ((await iterator.next()).done !== true);
      throw new Error('the stream ended without a reason');
    } catch (error) {
      return ConnectError.from(error);
    }
  };
  return { ended: drain() };
}

async function openFeed(server: TestServer, token: string): Promise<RecordedSocket> {
  const socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
  socket.send({ action: 'AUTH', token });
  await socket.find((frame) => 'status' in frame || frame['event'] !== undefined);
  return socket;
}

describe('an open stream', () => {
  const scopes = ['read:c:*'];
  const ENDS: readonly (readonly [string, (scene: Scene) => Promise<unknown>])[] = [
    [
      'its token is revoked',
      ({ server, tokenId }) => server.asRoot('DELETE', `/v1/tokens/${tokenId}`),
    ],
    [
      'a token above it is revoked',
      ({ server, parentId }) => server.asRoot('DELETE', `/v1/tokens/${parentId}`),
    ],
    ['its client is revoked', ({ server }) => revoke(server, 'CLIENT', 'watcher')],
    ['its user is revoked', ({ server }) => revoke(server, 'USER', 'ada')],
    [
      'its user is disabled',
      ({ server }) => server.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_DISABLED' }),
    ],
    ['its user is removed', ({ server }) => server.asRoot('DELETE', '/v1/users/ada')],
    ['everything is revoked', ({ server }) => revoke(server, 'ALL', '')],
  ];

  interface Scene {
    readonly server: TestServer;
    readonly tokenId: string;
    readonly parentId: string;
  }

  async function revoke(server: TestServer, kind: string, id: string): Promise<unknown> {
    return await server.asRoot('POST', '/v1/tokens:revoke', {
      kind: `REVOCATION_KIND_${kind}`,
      id,
    });
  }

  it.each(ENDS)(
    'ends when %s',
    async (_, end) => {
      await using server = await startTestServer();
      await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
      await makeUser(server, 'ada', { scopes });
      const { token: session } = await login(server, 'ada');
      const parent = await delegate(server, session, scopes);
      const child = await delegate(server, parent.token, { clientId: 'watcher', scopes });
      const events = await openEvents(server, child.token);
      const native = await openGrpc(server, child.token);
      await using socket = await openFeed(server, child.token);
      await end({ server, tokenId: child.tokenId, parentId: parent.tokenId });
      expect(await events.ended).toContain('CREDENTIAL_REVOKED');
      const failure = await native.ended;
      const [info] = failure.findDetails(ErrorInfoSchema);
      expect([failure.code, info?.reason]).toEqual([Code.Unauthenticated, 'CREDENTIAL_REVOKED']);
      expect(await socket.closed()).toBe(1008);
    },
    60_000,
  );

  it('ends when its API key is, and shows nothing more when the role that granted it goes (14571)', async () => {
    await using server = await startTestServer();
    await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    await server.asRoot('POST', '/v1/roles', { name: 'watcher', scopes });
    await makeUser(server, 'ada', { roles: ['watcher'] });
    const { token } = await login(server, 'ada');
    const made = await server.request('POST', '/v1/apiKeys', { token, body: { scopes } });
    await using socket = await openFeed(server, String(made.body.text));
    const put = (key: string): Promise<unknown> =>
      server.asRoot('PUT', `/v1/collections/c/documents/${key}`, { body: { fields: {} } });
    await put('before');
    await socket.find((frame) => frame['key'] === 'before');
    await using witness = await openFeed(server, await server.rootToken());
    await server.asRoot('PATCH', '/v1/roles/watcher', { scopes: { values: [] } });
    await put('hidden');
    await witness.find((frame) => frame['key'] === 'hidden');
    await server.asRoot('PATCH', '/v1/roles/watcher', { scopes: { values: scopes } });
    await put('after');
    await socket.find((frame) => frame['key'] === 'after');
    expect(socket.frames.some((frame) => frame['key'] === 'hidden')).toBe(false);
    const id = String(made.body.apiKey.apiKeyId);
    await server.asRoot('DELETE', `/v1/apiKeys/${id}`);
    expect(await socket.closed()).toBe(1008);
  });

  it('ends when a field that it asks about is hidden from its user', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada', { scopes });
    const { token } = await login(server, 'ada');
    const where = encodeURIComponent(JSON.stringify({ pay: { $gt: 10 } }));
    const response = await fetch(`${server.url}/v1/watch?collection=c&where=${where}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    });
    expect(response.status).toBe(200);
    const ended = response.text();
    await using witness = await openFeed(server, await server.rootToken());
    const put = (key: string): Promise<unknown> =>
      server.asRoot('PUT', `/v1/collections/c/documents/${key}`, { body: { fields: { pay: 20 } } });
    await put('seen');
    await witness.find((frame) => frame['key'] === 'seen');
    const hidden = { scopes: { values: [...scopes, 'hide:c:pay'] } };
    expect((await server.asRoot('PATCH', '/v1/users/ada', hidden)).status).toBe(200);
    await put('unseen');
    const text = await ended;
    expect(text).toContain('CREDENTIAL_REVOKED');
    expect(text).toContain('"seen"');
    expect(text).not.toContain('"unseen"');
  });
});
