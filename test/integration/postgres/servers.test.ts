import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { examineConfiguration } from '../../../cli/lib/doctor/configuration.ts';
import { examineInside } from '../../../cli/lib/doctor/inside.ts';
import { createMoltenClient, toBody, type MoltenClient } from '../../../src/client/index.ts';
import type { TokenAlgorithm } from '../../../src/domain/access/signing-keys.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { startPostgres } from '../../support/postgres.ts';
import {
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';
import type { AcknowledgedWrite } from '../../support/watch-properties.ts';
import { kindsOf, recordWatch, watchClient } from '../../support/watching.ts';
import {
  delegate,
  login,
  loginAsRoot,
  makeKey,
  makeUser,
  PASSWORD,
  read,
  tryLogin,
  whoAmI,
} from '../access/team.ts';
import { newSchema, violationsOfAll, watchAll, writeSome } from './scene.ts';

/** As often as nodes look at the log, and no more than this. */
const LOOKS = { interval: 250, timeout: 10_000 };

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off', max_connections: '200' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

type Servers = readonly [TestServer, TestServer, ...TestServer[]];

/** Servers that share a store, as many nodes behind a balancer do. */
async function startServers(
  count: number,
  tokenAlgorithm: TokenAlgorithm = 'HS256',
): Promise<Servers> {
  const { password } = database;
  const storage = { url: database.url(newSchema()), password, connections: 4 };
  const access = { ...testConfig('').access, tokenAlgorithm };
  const servers = await Promise.all(
    Array.from({ length: count }, () => startTestServer({ storage, access, writeMode: 'sync' })),
  );
  return servers as unknown as Servers;
}

async function closeAll(servers: readonly TestServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
}

function clientOf({ url }: TestServer, token: string): MoltenClient {
  return createMoltenClient({ url, token: () => token });
}

/** The key that signed a token. */
function keyOf(token: string): string {
  const header = Buffer.from(token.split('.')[0] ?? '', 'base64url').toString();
  return (JSON.parse(header) as { readonly kid: string }).kid;
}

describe('several servers on one PostgreSQL', () => {
  it('show every watcher the one history, wherever it watches and whoever writes', async () => {
    const servers = await startServers(4);
    const token = await servers[0].rootToken();
    const watches = await watchAll(servers, token);
    const written: AcknowledgedWrite[] = [];
    await Promise.all(servers.map((server, at) => writeSome(clientOf(server, token), at, written)));
    expect(await violationsOfAll(watches, written)).toEqual([]);
    expect(written.length).toBeGreaterThan(80);
    await Promise.all(watches.map((watch) => watch[Symbol.asyncDispose]()));
    await closeAll(servers);
  });

  it('read what another has acknowledged, at once', async () => {
    const servers = await startServers(2);
    const token = await servers[0].rootToken();
    const [one, other] = servers.map((server) => clientOf(server, token));
    for (let n = 0; n < 10; n++) {
      const collection = `made-${String(n)}`;
      await one?.documents.setDocument({ collection, key: 'a', body: toBody({ n }) });
      const found = await other?.documents.getDocument({ collection, key: 'a' });
      expect(found?.document?.version).toBe(1n);
    }
    await closeAll(servers);
  });

  it('end what one of them revokes on all, calls and open streams', async () => {
    const servers = await startServers(2);
    const [one, other] = servers;
    const scopes = ['read:*:*', 'write:*:*'];
    await one.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    const made = await delegate(one, await one.rootToken(), { clientId: 'app', scopes });
    const { token, tokenId: id } = made;
    const path = '/v1/collections/c/documents/k';
    const call = async (): Promise<number> => (await other.request('GET', path, { token })).status;
    expect(await call()).toBe(200);
    const watch = await recordWatch(watchClient(other.url, token), {
      targets: [{ collection: 'c' }],
    });
    const kind = 'REVOCATION_KIND_TOKEN';
    expect((await one.asRoot('POST', '/v1/tokens:revoke', { kind, id })).status).toBe(200);
    await expect.poll(call, LOOKS).toBe(401);
    const ended = (): boolean => kindsOf(watch.messages).includes('end');
    await expect.poll(ended, LOOKS).toBe(true);
    expect((await watch.ended())?.reason).toBe('CREDENTIAL_REVOKED');
    await closeAll(servers);
  });

  it('take over users and roles of each other, and what they may no longer', async () => {
    const servers = await startServers(2);
    const [one, other] = servers;
    const may = async (token: string): Promise<number> => {
      return (await other.request('GET', '/v1/collections/c/documents/k', { token })).status;
    };
    await one.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    await one.asRoot('POST', '/v1/roles', { name: 'reader', scopes: ['read:c:*'] });
    await makeUser(one, 'ada', { roles: ['reader'] });
    const signIn = async (): Promise<number> => (await tryLogin(other, 'ada')).status;
    await expect.poll(signIn, { timeout: 10_000 }).toBe(200);
    const token = String((await tryLogin(other, 'ada')).body.token);
    expect(await may(token)).toBe(200);
    await one.asRoot('PATCH', '/v1/roles/reader', { scopes: { values: ['read:d:*'] } });
    await expect.poll(() => may(token), { timeout: 5000 }).not.toBe(200);
    await one.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_DISABLED' });
    await expect.poll(() => may(token), { timeout: 5000 }).toBe(401);
    await closeAll(servers);
  });

  it('take over API keys of each other: made, replaced and revoked', async () => {
    const servers = await startServers(2);
    const [one, other] = servers;
    await one.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    await makeUser(one, 'ada', { scopes: ['read:c:*'] });
    for (const [here, there] of [
      [one, other],
      [other, one],
    ] as const) {
      const { token } = await login(here, 'ada');
      const { id, text } = await makeKey(here, token, { scopes: ['read:c:*'] });
      expect(await read(there, text)).toBe('taken');
      const rotate = { token, body: { overlap: '0s' } };
      const { body } = await here.request('POST', `/v1/apiKeys/${id}:rotate`, rotate);
      const next = { id: String(body.apiKey.apiKeyId), text: String(body.text) };
      expect(await read(there, next.text)).toBe('taken');
      await expect.poll(() => read(there, text), LOOKS).toBe('CREDENTIAL_EXPIRED');
      const watch = await recordWatch(watchClient(there.url, next.text), {
        targets: [{ collection: 'c' }],
      });
      const revoked = await here.request('DELETE', `/v1/apiKeys/${next.id}`, { token });
      expect(revoked.status).toBe(200);
      await expect.poll(() => read(there, next.text), LOOKS).toMatch(/^CREDENTIAL_/);
      expect((await watch.ended())?.reason).toBe('CREDENTIAL_REVOKED');
    }
    await closeAll(servers);
  });

  it('take over signing keys of each other: a new one, and the end of one', async () => {
    const servers = await startServers(2, 'EdDSA');
    const [one, other] = servers;
    const rotate = async (server: TestServer, grace: string): Promise<void> => {
      const { status } = await server.asRoot('POST', '/v1/signingKeys:rotate', { grace });
      expect(status).toBe(200);
    };
    for (const [here, there] of [
      [one, other],
      [other, one],
    ] as const) {
      await rotate(here, '3600s');
      const made = await loginAsRoot(here);
      expect(await whoAmI(there, made.token)).toBe('taken');
      // It signs with the same key from then on.
      expect(keyOf((await loginAsRoot(there)).token)).toBe(keyOf(made.token));
      await rotate(here, '0s');
      await expect.poll(() => whoAmI(there, made.token), LOOKS).toMatch(/^CREDENTIAL_/);
      const { token } = await loginAsRoot(there);
      expect(await whoAmI(here, token)).toBe('taken');
      expect(keyOf(token)).not.toBe(keyOf(made.token));
    }
    await closeAll(servers);
  });

  it('make whoever fails to sign in at one of them wait at all', async () => {
    const servers = await startServers(3);
    const [one, other, third = one] = servers;
    await makeUser(one, 'ada');
    const reason = async (server: TestServer, password = PASSWORD): Promise<string> =>
      String((await tryLogin(server, 'ada', password)).body.reason ?? 'taken');
    // The first four are free, wherever they are.
    for (const server of [one, other, one, other, one]) {
      expect(await reason(server, 'a wrong one')).toBe('CREDENTIAL_INVALID');
    }
    for (const server of servers) {
      await expect.poll(() => reason(server, 'a wrong one'), LOOKS).toBe('RATE_LIMITED');
      expect(await reason(server)).toBe('RATE_LIMITED');
    }
    expect((await third.asRoot('POST', '/v1/users/ada:unlock')).status).toBe(200);
    for (const server of servers) await expect.poll(() => reason(server), LOOKS).toBe('taken');
    await closeAll(servers);
  });

  it('keep one of two administrators who remove each other in one moment', async () => {
    const servers = await startServers(2);
    const [one, other] = servers;
    await makeUser(one, 'ann', { roles: ['admin'] });
    const root = await one.rootToken();
    for (let round = 0; round < 3; round++) {
      await expect.poll(async () => (await tryLogin(other, 'ann')).status).toBe(200);
      const { token: ann } = await login(other, 'ann');
      const lock = (server: TestServer, token: string, name: string): Promise<TestResponse> =>
        server.request('PATCH', `/v1/users/${name}`, { token, body: { roles: { values: [] } } });
      const answers = await Promise.all([lock(one, root, 'ann'), lock(other, ann, 'root')]);
      const refused = answers.filter(({ status }) => status !== 200);
      expect(refused.map(({ body }) => String(body.reason))).toEqual([
        expect.stringMatching(/^(LAST_ADMINISTRATOR|SCOPE_MISSING)$/),
      ]);
      // Whoever is left makes the other one again.
      const [left, name] = answers[0].status === 200 ? [root, 'ann'] : [ann, 'root'];
      const body = { roles: { values: ['admin'] } };
      const again = async (): Promise<number> =>
        (await one.request('PATCH', `/v1/users/${name}`, { token: left, body })).status;
      await expect.poll(again, { timeout: 10_000 }).toBe(200);
    }
    await closeAll(servers);
  });

  it('tell operators of their database, and advise nothing that they cannot do', async () => {
    const servers = await startServers(1);
    const [server] = servers;
    const { body } = await server.asRoot('GET', '/v1/status');
    expect(body).toMatchObject({
      shared: true,
      storeLag: expect.stringMatching(/^[\d.]+s$/) as string,
    });
    const findings = await examineInside(clientOf(server, await server.rootToken()));
    const found = Object.fromEntries(
      findings.map(({ name, verdict, detail }) => [name, `${verdict}: ${detail}`]),
    );
    expect(found['database']).toMatch(/^ok: last heard of \d+ ms ago$/);
    expect(found['encryption at rest']).toMatch(/^warn: .* encrypted$/);
    expect(found['snapshots recent']).toMatch(/^FAIL: there is none; take one/);
    const advised = (flags: Readonly<Record<string, string>>): readonly string[] =>
      examineConfiguration({ flags, environment: {} }).map(({ name }) => name);
    for (const flags of [{ 'storage-url': 'postgres://molten@localhost/app' }, {}]) {
      expect(advised(flags)).toContain('snapshot-schedule');
    }
    await closeAll(servers);
  });

  it('let nobody in while they cannot know what others revoked', async () => {
    const own = await startPostgres();
    const storage = { url: own.url(newSchema()), password: own.password, connections: 4 };
    const server = await startTestServer({ storage });
    const token = await server.rootToken();
    const who = (): Promise<string> => whoAmI(server, token);
    expect(await who()).toBe('taken');
    await own.kill();
    await expect.poll(who, { timeout: 20_000 }).toBe('ENGINE_UNAVAILABLE');
    await own.start();
    await expect.poll(who, { timeout: 20_000 }).toBe('taken');
    await server[Symbol.asyncDispose]();
    await own[Symbol.asyncDispose]();
  });
});
