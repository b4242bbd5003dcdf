import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { delegate, login, makeKey, makeUser, read, whoAmI } from './team.ts';

async function tryMake(server: TestServer, token: string, body: object): Promise<TestResponse> {
  return await server.request('POST', '/v1/apiKeys', { token, body });
}

async function open(): Promise<{ readonly server: TestServer; readonly token: string }> {
  const server = await startTestServer();
  await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
  await makeUser(server, 'ada', { scopes: ['read:c:*', 'write:c:*'] });
  return { server, token: (await login(server, 'ada')).token };
}

describe('an API key', () => {
  it('is shown once, has a checksum, and is taken in both headers and on gRPC', async () => {
    const { server, token } = await open();
    await using _ = server;
    const { id, text } = await makeKey(server, token, {
      scopes: ['read:c:*'],
      description: 'report',
    });
    expect(text).toMatch(/^mk_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/);
    for (const path of ['/v1/apiKeys', `/v1/apiKeys/${id}`]) {
      const shown = await server.request('GET', path, { token });
      expect(shown.text).toContain(id);
      expect(shown.text).not.toContain(text.slice(-38));
    }
    expect(await read(server, text)).toBe('taken');
    const header = { 'x-api-key': text };
    const path = '/v1/collections/c/documents/k';
    expect((await server.request('GET', path, { headers: header })).status).toBe(200);
    const transport = createGrpcTransport({ baseUrl: server.url });
    const client = createClient(AuthService, transport);
    const { principal } = await client.whoAmI({}, { headers: header });
    expect(principal).toMatchObject({ subject: 'ada', tokenId: id, scopes: ['read:c:*'] });
    const put = await server.request('PUT', path, {
      ...{ headers: header, body: { body: { fields: {} } } },
    });
    expect(put.body.reason).toBe('SCOPE_MISSING');
    const used = await server.request('GET', `/v1/apiKeys/${id}`, { token });
    expect(Date.parse(used.body.apiKey.useTime)).toBeGreaterThan(Date.now() - 60_000);
  });

  it('is refused in every other form', async () => {
    const { server, token } = await open();
    await using _ = server;
    const { text } = await makeKey(server, token, { scopes: ['read:c:*'] });
    const swap = text.at(-10) === 'a' ? 'b' : 'a';
    for (const forged of [
      ...[text.slice(0, -1), `${text}a`, text.replace('live', 'test'), text.toUpperCase()],
      ...[`${text.slice(0, -10)}${swap}${text.slice(-9)}`, `mk_live_${'a'.repeat(51)}`, 'mk_'],
    ]) {
      expect(await whoAmI(server, forged)).toBe('CREDENTIAL_INVALID');
    }
    // Two credentials at once, of which one would be taken.
    const answer = await server.request('GET', '/v1/sessions/current', {
      ...{ token, headers: { 'x-api-key': text } },
    });
    expect(answer.body.reason).toBe('CREDENTIAL_INVALID');
  });

  it('may do what it was given, and no more than its owner may do now', async () => {
    const { server, token } = await open();
    await using _ = server;
    const beyond = await tryMake(server, token, { scopes: ['delete:c:*'] });
    expect(beyond.body.reason).toBe('SCOPE_MISSING');
    const { text } = await makeKey(server, token, { scopes: ['read:c:*'] });
    await server.asRoot('PATCH', '/v1/users/ada', { scopes: { values: ['write:c:*'] } });
    expect(await read(server, text)).toBe('SCOPE_MISSING');
    await server.asRoot('PATCH', '/v1/users/ada', { scopes: { values: ['admin:*:*'] } });
    expect(await read(server, text)).toBe('taken');
    await server.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_LOCKED' });
    expect(await read(server, text)).toBe('CREDENTIAL_REVOKED');
    await server.asRoot('DELETE', '/v1/users/ada');
    expect(await read(server, text)).toBe('CREDENTIAL_INVALID');
  });

  it('ends, is revoked, and is replaced with an overlap', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada', { scopes: ['read:c:*'] });
    const { token } = await login(server, 'ada');
    const short = await makeKey(server, token, { scopes: ['read:c:*'], ttl: '60s' });
    const old = await makeKey(server, token, { scopes: ['read:c:*'] });
    const rotate = (id: string): Promise<TestResponse> =>
      server.request('POST', `/v1/apiKeys/${id}:rotate`, { token, body: { overlap: '120s' } });
    const rotated = await rotate(old.id);
    expect((await rotate(old.id)).body.reason).toBe('ARGUMENT_INVALID');
    const next = String(rotated.body.text);
    clock.advance(59_999);
    expect(await whoAmI(server, short.text)).toBe('taken');
    clock.advance(1);
    expect(await whoAmI(server, short.text)).toBe('CREDENTIAL_EXPIRED');
    expect(await whoAmI(server, old.text)).toBe('taken');
    clock.advance(60_000);
    expect(await whoAmI(server, old.text)).toBe('CREDENTIAL_EXPIRED');
    expect(await whoAmI(server, next)).toBe('taken');
    const { tokenId } = await delegate(server, next, ['read:c:*']);
    const child = await delegate(server, next, ['read:c:*']);
    const id = String(rotated.body.apiKey.apiKeyId);
    const list = await server.request('GET', `/v1/tokens?parentId=${id}`, { token });
    expect(list.body.tokens.map((one: { tokenId: string }) => one.tokenId)).toContain(tokenId);
    expect((await server.request('DELETE', `/v1/apiKeys/${id}`, { token })).status).toBe(200);
    expect(await whoAmI(server, next)).toBe('CREDENTIAL_INVALID');
    expect(await whoAmI(server, child.token)).toBe('CREDENTIAL_REVOKED');
  });

  it('is its owner’s alone', async () => {
    const { server, token } = await open();
    await using _ = server;
    const { id } = await makeKey(server, token, { scopes: ['read:c:*'] });
    await makeUser(server, 'bob', { scopes: ['read:c:*'] });
    const bob = (await login(server, 'bob')).token;
    const path = `/v1/apiKeys/${id}`;
    for (const [method, url] of [
      ...[
        ['GET', path],
        ['DELETE', path],
        ['POST', `${path}:rotate`],
      ],
    ] as const) {
      const body = method === 'POST' ? { body: {} } : {};
      const answer = await server.request(method, url, { token: bob, ...body });
      expect([answer.status, answer.body.reason]).toEqual([404, 'API_KEY_NOT_FOUND']);
    }
    expect((await server.request('GET', '/v1/apiKeys', { token: bob })).body.apiKeys).toEqual([]);
    const other = await server.request('GET', '/v1/apiKeys?owner=ada', { token: bob });
    expect(other.body.reason).toBe('SCOPE_MISSING');
    // The administrator sees all, and makes keys for services.
    const all = await server.asRoot('GET', '/v1/apiKeys');
    expect(all.body.apiKeys).toHaveLength(1);
    const made = await makeKey(server, await server.rootToken(), {
      ...{ owner: 'bob', scopes: ['read:c:*'] },
    });
    expect(await read(server, made.text)).toBe('taken');
    const beyond = await server.asRoot('POST', '/v1/apiKeys', { owner: 'bob', scopes: ['*:*:*'] });
    expect(beyond.body.reason).toBe('SCOPE_MISSING');
  });

  it('is not made by a token that was delegated, nor by another key', async () => {
    const { server, token } = await open();
    await using _ = server;
    const { text } = await makeKey(server, token, { scopes: ['read:c:*'] });
    const delegated = await delegate(server, token, ['read:c:*']);
    for (const caller of [text, delegated.token]) {
      const answer = await tryMake(server, caller, { scopes: ['read:c:*'] });
      expect(answer.body.reason).toBe('SCOPE_MISSING');
    }
  });
});
