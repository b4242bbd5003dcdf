/**
 * What one node has made is shown to another at once, as behind a balancer. The commits of the first wake up nobody,
 * so that the other would know of them when it looks by itself, up to a quarter of a second later.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCommitRelay, type CommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import {
  delegate,
  login,
  makeKey,
  makeUser,
  PASSWORD,
  tryLogin,
  whoAmI,
  type MadeKey,
} from '../access/team.ts';
import { newSchema } from './scene.ts';

/** Between two looks there may be one by chance. */
const ROUNDS = Array.from({ length: 5 }, (_, at) => `u${String(at)}`);

let database: TestPostgres;
let relay: CommitRelay;
let one: TestServer;
let other: TestServer;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
  relay = await startCommitRelay(database.port);
  relay.isQuiet = true;
  const schema = newSchema();
  one = await startNode(schema, relay.port);
  other = await startNode(schema);
});

afterAll(async () => {
  await Promise.all([one, other].map((server) => server[Symbol.asyncDispose]()));
  await relay[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

function startNode(schema: string, port?: number): Promise<TestServer> {
  const storage = { url: database.url(schema, port), password: database.password, connections: 4 };
  const access = { ...testConfig('').access, tokenAlgorithm: 'EdDSA' } as const;
  return startTestServer({ storage, access, writeMode: 'sync' });
}

async function refresh(server: TestServer, refreshToken: string): Promise<number> {
  const body = { refreshToken };
  return (await server.request('POST', '/v1/sessions:refresh', { body })).status;
}

describe('what was made at another node just now', () => {
  it('is taken: API keys, and those in their place', async () => {
    const root = await one.rootToken();
    const make = (description: string): Promise<MadeKey> =>
      makeKey(one, root, { description, scopes: ['read:*:*'] });
    for (const description of ROUNDS) {
      const made = await make(description);
      expect(await whoAmI(other, made.text)).toBe('taken');
      const path = `/v1/apiKeys/${made.id}:rotate`;
      const { body } = await one.asRoot('POST', path, { overlap: '0s' });
      expect(await whoAmI(other, String(body.text))).toBe('taken');
      const gone = await make(description);
      expect((await one.asRoot('DELETE', `/v1/apiKeys/${gone.id}`)).status).toBe(200);
      const last = await make(description);
      expect(await whoAmI(other, last.text)).toBe('taken');
      // Who has heard of the last has heard of what was before.
      expect(await whoAmI(other, made.text)).toBe('CREDENTIAL_EXPIRED');
      expect(await whoAmI(other, gone.text)).toBe('CREDENTIAL_INVALID');
    }
  });

  it('is taken: users, their tokens and their passwords', async () => {
    for (const name of ROUNDS.slice(0, 3)) {
      await makeUser(one, name);
      expect((await tryLogin(other, name)).status).toBe(200);
      const password = `${PASSWORD} ${name}`;
      const path = `/v1/users/${name}`;
      const set = await one.asRoot('POST', `${path}:setPassword`, { password });
      expect(set.status).toBe(200);
      expect((await tryLogin(other, name, password)).status).toBe(200);
      expect((await tryLogin(other, name)).status).toBe(401);
      const { token } = await login(one, name, password);
      expect((await one.asRoot('DELETE', path)).status).toBe(200);
      expect((await tryLogin(other, name, password)).status).toBe(401);
      expect(await whoAmI(other, token)).toBe('CREDENTIAL_REVOKED');
      // Another user of that name, with nothing of the first.
      await makeUser(one, name);
      const signed = await login(one, name);
      expect(await whoAmI(other, signed.token)).toBe('taken');
      expect(await refresh(other, signed.refreshToken)).toBe(200);
    }
  });

  it('is taken: what a user holds who may go on again', async () => {
    await makeUser(one, 'ada', { scopes: ['read:*:*'] });
    const key = await makeKey(one, (await login(one, 'ada')).token, { scopes: ['read:*:*'] });
    for (const _ of ROUNDS) {
      await one.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_DISABLED' });
      await expect.poll(() => whoAmI(other, key.text)).toBe('CREDENTIAL_REVOKED');
      await one.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_ACTIVE' });
      expect(await whoAmI(other, key.text)).toBe('taken');
    }
  });

  it('is taken: tokens of a new signing key', async () => {
    for (const _ of ROUNDS) {
      const rotated = await one.asRoot('POST', '/v1/signingKeys:rotate', { grace: '3600s' });
      expect(rotated.status).toBe(200);
      const { token } = await delegate(one, await one.rootToken(), ['read:*:*']);
      expect(await whoAmI(other, token)).toBe('taken');
    }
  });
});
