/** A node that does not see what others do says so of whatever it cannot know, and neither accepts nor denies it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { delegate, login, makeKey, makeUser, tryLogin, whoAmI } from '../access/team.ts';
import { newSchema } from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

function startNode(schema: string, port?: number): Promise<TestServer> {
  const storage = { url: database.url(schema, port), password: database.password, connections: 4 };
  return startTestServer({ storage, writeMode: 'sync' });
}

async function readiness({ url }: TestServer): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}

/** Shows a token to one of the endpoints of OAuth 2.0. */
function show(
  server: TestServer,
  path: string,
  { shown, token }: { readonly shown: string; readonly token?: string },
): Promise<TestResponse> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = new URLSearchParams({ token: shown }).toString();
  return server.request('POST', path, { body, headers, ...(token === undefined ? {} : { token }) });
}

async function reasonOf(answer: Promise<TestResponse>): Promise<string> {
  const { status, body } = await answer;
  return status === 200 ? 'taken' : String(body.reason);
}

describe('a node that is out of step', () => {
  it('revokes nothing in silence, and revokes it when it is in step again', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using other = await startNode(schema);
    await using held = await startNode(schema, relay.port);
    const { token: shown } = await delegate(other, await other.rootToken(), ['read:*:*']);
    const { text: key } = await makeKey(other, await other.rootToken(), { scopes: ['read:*:*'] });
    expect([await whoAmI(held, shown), await whoAmI(held, key)]).toEqual(['taken', 'taken']);
    const revoke = (text: string): Promise<TestResponse> =>
      show(held, '/oauth2/revoke', { shown: text });

    relay.holdTailers();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(503);
    for (const text of [shown, key]) {
      const refused = await revoke(text);
      expect([refused.status, refused.body.error]).toEqual([503, 'temporarily_unavailable']);
      expect(await whoAmI(other, text)).toBe('taken');
    }
    // What nobody could have made needs no looking for.
    expect((await revoke('no-token')).status).toBe(200);

    relay.release();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(200);
    for (const text of [shown, key]) {
      expect((await revoke(text)).status).toBe(200);
      expect(await whoAmI(held, text)).toMatch(/^CREDENTIAL_/);
      await expect.poll(() => whoAmI(other, text)).toMatch(/^CREDENTIAL_/);
    }
  });

  it('signs nobody in, and counts nothing against them', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using other = await startNode(schema);
    await using held = await startNode(schema, relay.port);
    await makeUser(other, 'ada');
    await makeUser(other, 'bob');
    const { refreshToken } = await login(held, 'ada');
    const refresh = (): Promise<TestResponse> =>
      held.request('POST', '/v1/sessions:refresh', { body: { refreshToken } });

    relay.holdTailers();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(503);
    expect((await other.asRoot('DELETE', '/v1/users/bob')).status).toBe(200);
    await makeUser(other, 'cyd');
    const key = await makeKey(other, await other.rootToken(), { scopes: ['read:*:*'] });
    for (let n = 0; n < 6; n++) {
      for (const name of ['ada', 'bob', 'cyd']) {
        expect(await reasonOf(tryLogin(held, name))).toBe('ENGINE_UNAVAILABLE');
      }
      expect(await reasonOf(refresh())).toBe('ENGINE_UNAVAILABLE');
      expect(await whoAmI(held, key.text)).toBe('ENGINE_UNAVAILABLE');
    }
    expect(await whoAmI(held, `${key.text.slice(0, -1)}_`)).toBe('CREDENTIAL_INVALID');

    relay.release();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(200);
    expect(await reasonOf(tryLogin(held, 'bob'))).toBe('CREDENTIAL_INVALID');
    for (const name of ['ada', 'cyd']) {
      expect(await reasonOf(tryLogin(held, name))).toBe('taken');
    }
    expect(await reasonOf(refresh())).toBe('taken');
    expect(await whoAmI(held, key.text)).toBe('taken');
  });
});

describe('a node whose looks have just stopped', () => {
  it('takes nothing for unknown that another has made meanwhile', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using other = await startNode(schema);
    await using held = await startNode(schema, relay.port);
    const token = await held.rootToken();
    relay.holdTailers();
    const { text: shown } = await makeKey(other, await other.rootToken(), { scopes: ['read:*:*'] });
    // The caller is known; what it asks about is not, until somebody has looked.
    const asked = await show(held, '/oauth2/introspect', { shown, token });
    expect([asked.status, asked.body.error]).toEqual([503, 'temporarily_unavailable']);
    relay.release();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(200);
    expect((await show(held, '/oauth2/introspect', { shown, token })).body).toMatchObject({
      ...{ active: true, username: 'root' },
    });
  });
});
