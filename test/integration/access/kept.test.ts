/** What access keeps in the store: never a secret in plain text, hashes of today, and who must wait. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { createAccess } from '../../../src/domain/access/access.ts';
import { PASSWORD_COST } from '../../../src/domain/access/passwords.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import {
  ROOT,
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { CONTEXT, openAccess } from './open-access.ts';
import { delegate, login, makeUser, PASSWORD } from './team.ts';

/** All files below a folder, as bytes. */
function filesOf(path: string): readonly (readonly [name: string, content: Buffer])[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => [entry.name, readFileSync(join(entry.parentPath, entry.name))]);
}

describe('the files of a store', () => {
  it('hold no token, key, code or password, while the server runs and after it', async () => {
    using directory = createTemporaryDirectory();
    const secrets = new Map<string, string>([
      ['the root password', ROOT.password],
      ['a password', PASSWORD],
      ['the secret that signs', testConfig('').jwtSecret],
    ]);
    const demand = (when: string): void => {
      const files = filesOf(directory.path);
      // In plain text, or nothing would be shown by not finding it.
      const isThere = (text: string): readonly string[] =>
        files.filter(([, content]) => content.includes(text)).map(([name]) => name);
      expect([when, isThere('ada-who-is-known')]).not.toEqual([when, []]);
      for (const [name, secret] of secrets)
        expect([when, name, isThere(secret)]).toEqual([when, name, []]);
    };
    {
      const dbPath = directory.path;
      await using server = await startTestServer({ dbPath, writeMode: 'sync', storage: undefined });
      await makeUser(server, 'ada-who-is-known', { scopes: ['read:c:*'] });
      const { token, refreshToken } = await login(server, 'ada-who-is-known');
      const body = { refreshToken };
      const renewed = await server.request('POST', '/v1/sessions:refresh', { body });
      const key = await server.request('POST', '/v1/apiKeys', {
        ...{ token, body: { scopes: ['read:c:*'] } },
      });
      const factor = await server.request('POST', '/v1/profile/secondFactor', {
        ...{ token, body: { password: PASSWORD } },
      });
      const child = await delegate(server, token, ['read:c:*']);
      for (const [name, secret] of [
        ...([
          ['a token', token],
          ['a refresh token', refreshToken],
        ] as const),
        ...([['the next refresh token', renewed.body.refreshToken]] as const),
        ...([
          ['an API key', key.body.text],
          ['a second factor', factor.body.secret],
        ] as const),
        ...([['a delegated token', child.token]] as const),
      ]) {
        expect([name, String(secret).length > 15]).toEqual([name, true]);
        secrets.set(name, String(secret));
      }
      demand('while it runs');
      expect(filesOf(dbPath).some(([name]) => name.endsWith('-wal'))).toBe(true);
    }
    demand('after it');
  });
});

describe('the hash of a password', () => {
  it('is replaced at a login when it was made more cheaply than today', async () => {
    await using open = await openAccess();
    const { engine, clock, access: cheap } = open;
    const { access: rules, jwtSecret } = testConfig('');
    const access = await createAccess({
      ...{ engine, clock, passwordCost: PASSWORD_COST, onSealClosed: () => undefined },
      rules: { ...rules, jwtSecret, rootUser: ROOT.username, rootPassword: undefined },
    });
    const hashOf = (): string => access.accounts.find(ROOT.username)?.passwordHash ?? '';
    const before = hashOf();
    expect(before).toBe(cheap.accounts.find(ROOT.username)?.passwordHash);
    expect(before).toContain('$m=1024,');
    await expect(
      access.signIns.login({ ...ROOT, password: 'wrong' }, CONTEXT),
    ).rejects.toMatchObject({ reason: 'CREDENTIAL_INVALID' });
    expect(hashOf()).toBe(before);
    expect(await access.signIns.login(ROOT, CONTEXT)).toMatchObject({ kind: 'signedIn' });
    const after = hashOf();
    expect(after).toContain('$m=19456,');
    expect(await access.signIns.login(ROOT, CONTEXT)).toMatchObject({ kind: 'signedIn' });
    expect(hashOf()).toBe(after);
  });
});

function tryFrom(
  server: TestServer,
  address: string,
  body: { readonly username: string; readonly password: string },
): Promise<TestResponse> {
  const headers = { 'x-forwarded-for': address };
  return server.request('POST', '/v1/sessions', { body, headers });
}

const PROXIED = { trustedProxies: ['127.0.0.1'] } as const;
const FAR = '198.51.100.7';

describe('an address that tried too many names', () => {
  it('waits on over a restart, until its time is over', async () => {
    using directory = createTemporaryDirectory();
    const clock = createManualClock();
    const dbPath = directory.path;
    {
      await using server = await startTestServer({ ...PROXIED, dbPath }, { clock });
      for (let at = 0; at < 32; at++) {
        await tryFrom(server, FAR, { username: `nobody-${String(at)}`, password: 'wrong' });
      }
      expect((await tryFrom(server, FAR, ROOT)).body.reason).toBe('RATE_LIMITED');
    }
    await using server = await startTestServer({ ...PROXIED, dbPath }, { clock });
    expect((await tryFrom(server, FAR, ROOT)).body.reason).toBe('RATE_LIMITED');
    expect((await tryFrom(server, '198.51.100.8', ROOT)).status).toBe(200);
    clock.advance(3_600_000);
    expect((await tryFrom(server, FAR, ROOT)).status).toBe(200);
  });
});

describe('the set-up, from another machine', () => {
  it('wants the token of the configuration, and closes', async () => {
    const setupToken = 'a set-up token of more than thirty-two characters';
    const access = { ...testConfig('').access, setupToken };
    await using server = await startTestServer({ ...PROXIED, access, rootPassword: undefined });
    const password = 'a password from the set-up';
    const complete = (more: object): Promise<TestResponse> =>
      server.request('POST', '/v1/setup', {
        ...{ body: { password, ...more }, headers: { 'x-forwarded-for': FAR } },
      });
    for (const wrong of [
      {},
      { setupToken: '' },
      { setupToken: `${setupToken}x` },
      { setupToken: 'x' },
    ]) {
      expect((await complete(wrong)).body.reason).toBe('SCOPE_MISSING');
    }
    expect((await complete({ setupToken, password: 'weak' })).body.reason).toBe('PASSWORD_WEAK');
    expect((await complete({ setupToken })).status).toBe(200);
    const again = await complete({ setupToken });
    expect(again.body.reason).toBe('SETUP_CLOSED');
    expect((await tryFrom(server, FAR, { ...ROOT, password })).status).toBe(200);
  });
});
