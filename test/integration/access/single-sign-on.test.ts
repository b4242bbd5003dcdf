/** Signing in to the server through a real issuer and a real directory. */
import { describe, expect, it } from 'vitest';

import type { IdentityConfig } from '../../../src/config/server-config.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { openBrowser } from '../../support/browser.ts';
import { ROOT as BASE, SERVICE, startDirectory } from '../../support/directory.ts';
import { ADA, CLIENT, REDIRECT_URI, startIssuer } from '../../support/issuer.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { login, makeUser, PASSWORD, tryLogin, whoAmI } from './team.ts';

const MAPPING = {
  groups: { operators: ['operator'], engines: ['viewer'] },
  defaultRoles: [],
  provision: true,
};

function oidcAt(issuer: string, change: object = {}): IdentityConfig {
  return {
    ldap: undefined,
    oidc: {
      ...{
        issuer,
        ...CLIENT,
        redirectUris: [REDIRECT_URI],
        scopes: ['openid', 'profile', 'email'],
      },
      ...{ usernameClaim: 'preferred_username', groupsClaim: 'groups', allowInsecure: true },
      mapping: { ...MAPPING, ...change },
    },
  };
}

function ldapAt(port: number, change: object = {}): IdentityConfig {
  return {
    oidc: undefined,
    ldap: {
      ...{ url: `ldap://127.0.0.1:${String(port)}`, startTls: false, caPath: undefined },
      ...{ service: SERVICE, userBase: `ou=people,${BASE}`, userFilter: '(uid={username})' },
      mapping: { ...MAPPING, ...change },
    },
  };
}

/** Sends a browser through the issuer and comes back with what it was sent back with. */
async function visit(
  server: TestServer,
): Promise<{ readonly signOn: string; readonly callbackUrl: string }> {
  const body = { provider: 'oidc', redirectUri: REDIRECT_URI };
  const begun = await server.request('POST', '/v1/signOns', { body });
  expect(begun.status).toBe(200);
  const callbackUrl = await openBrowser().follow(String(begun.body.url), REDIRECT_URI);
  return { signOn: String(begun.body.signOn), callbackUrl };
}

async function finish(server: TestServer, body: object): Promise<TestResponse> {
  return await server.request('POST', '/v1/signOns:finish', { body });
}

describe('single sign-on through OpenID Connect', () => {
  it('makes a user with the roles of its groups, and signs it in', async () => {
    await using issuer = await startIssuer();
    await using server = await startTestServer({ identity: oidcAt(issuer.url) });
    const list = await server.request('GET', '/v1/signOnProviders');
    expect(list.body.providers).toEqual(['oidc']);
    const visited = await visit(server);
    const done = await finish(server, visited);
    expect(done.status).toBe(200);
    const { token, refreshToken } = done.body.login;
    expect(await whoAmI(server, token)).toBe('taken');
    const shown = await server.asRoot('GET', '/v1/users/ada.lovelace');
    expect(shown.body.user).toMatchObject({
      ...{ roles: ['operator', 'viewer'], hasPassword: false, displayName: 'Ada Lovelace' },
      identities: [{ provider: 'oidc', issuer: issuer.url, subject: 'ada' }],
    });
    // A password opens nothing for who has none.
    expect((await tryLogin(server, 'ada.lovelace', '')).status).not.toBe(200);
    expect((await tryLogin(server, 'ada.lovelace')).status).toBe(401);
    // Each is finished once, and only by who began it.
    expect((await finish(server, visited)).body.reason).toBe('CREDENTIAL_EXPIRED');
    const second = await visit(server);
    const stolen = { ...second, signOn: `mo_${'A'.repeat(43)}` };
    expect((await finish(server, stolen)).body.reason).toBe('CREDENTIAL_EXPIRED');
    const crossed = { signOn: (await visit(server)).signOn, callbackUrl: second.callbackUrl };
    expect((await finish(server, crossed)).body.reason).toBe('CREDENTIAL_INVALID');
    // A user who is disabled here stays out, whatever the issuer says.
    await server.asRoot('PATCH', '/v1/users/ada.lovelace', { state: 'USER_STATE_DISABLED' });
    expect((await finish(server, await visit(server))).body.reason).toBe('CREDENTIAL_INVALID');
    const body = { refreshToken };
    expect((await server.request('POST', '/v1/sessions:refresh', { body })).status).toBe(401);
  });

  it('lets in nobody whom an administrator has not linked, when it is told so', async () => {
    await using issuer = await startIssuer();
    const identity = oidcAt(issuer.url, { provision: false });
    await using server = await startTestServer({ identity });
    expect((await finish(server, await visit(server))).body.reason).toBe('CREDENTIAL_INVALID');
    await makeUser(server, 'ada', { roles: ['viewer'] });
    const link = { identity: { provider: 'oidc', issuer: issuer.url, subject: 'ada' } };
    const long = { identity: { ...link.identity, issuer: `https://${'i'.repeat(2048)}` } };
    const refused = await server.asRoot('POST', '/v1/users/ada:linkIdentity', long);
    expect(refused.body.reason).toBe('ARGUMENT_INVALID');
    expect((await server.asRoot('POST', '/v1/users/ada:linkIdentity', link)).status).toBe(200);
    const done = await finish(server, await visit(server));
    expect(done.body.login.principal).toMatchObject({ subject: 'ada', scopes: ['read:*:*'] });
    await makeUser(server, 'bob');
    const again = await server.asRoot('POST', '/v1/users/bob:linkIdentity', link);
    expect(again.body.reason).toBe('USER_EXISTS');
  });

  it('gives nothing when a role of the configuration is not there: it may be one that takes away', async () => {
    await using issuer = await startIssuer();
    const identity = oidcAt(issuer.url, { groups: { operators: ['viewer', 'missing'] } });
    await using server = await startTestServer({ identity });
    expect((await finish(server, await visit(server))).body.reason).toBe('ROLE_NOT_FOUND');
    expect((await server.asRoot('GET', '/v1/users/ada.lovelace')).status).toBe(404);
  });

  it('never becomes a user of the same name that it is not', async () => {
    await using issuer = await startIssuer();
    await using server = await startTestServer({ identity: oidcAt(issuer.url) });
    await makeUser(server, 'Ada.Lovelace', { roles: ['admin'] });
    expect((await finish(server, await visit(server))).body.reason).toBe('USER_EXISTS');
  });

  it('goes nowhere but to the addresses of the configuration', async () => {
    await using issuer = await startIssuer();
    await using server = await startTestServer({ identity: oidcAt(issuer.url) });
    for (const redirectUri of ['https://evil.example/callback', `${REDIRECT_URI}/x`]) {
      const body = { provider: 'oidc', redirectUri };
      const answer = await server.request('POST', '/v1/signOns', { body });
      expect(answer.body.reason).toBe('ARGUMENT_INVALID');
    }
    const other = await server.request('POST', '/v1/signOns', {
      body: { provider: 'other', redirectUri: REDIRECT_URI },
    });
    expect(other.body.reason).toBe('ARGUMENT_INVALID');
  });

  it('works on a device without a browser', async () => {
    await using issuer = await startIssuer();
    await using server = await startTestServer({ identity: oidcAt(issuer.url) });
    const begun = await server.request('POST', '/v1/deviceSignOns', { body: { provider: 'oidc' } });
    expect(begun.body).toMatchObject({ userCode: expect.stringMatching(/\w/) as string });
    const poll = (): Promise<TestResponse> =>
      server.request('POST', '/v1/deviceSignOns:poll', { body: { signOn: begun.body.signOn } });
    expect((await poll()).body.pending).toBe(true);
    await openBrowser().submit(String(begun.body.verificationUriComplete));
    await expect
      .poll(async () => String((await poll()).body.login?.token ?? ''), { timeout: 20_000 })
      .not.toBe('');
    expect((await poll()).body.reason).toBe('CREDENTIAL_EXPIRED');
  }, 30_000);
});

/** What a sign-in comes to for who asks. */
function outcomeOf({ status, body }: TestResponse): unknown {
  const { reason, detail } = body;
  return status === 200 ? 'admitted' : { status, reason, detail };
}

/** Waits until the audit log says why: a refusal is noted with a delay. */
async function expectNoted(server: TestServer, action: string, why: string): Promise<void> {
  const path = `/v1/auditRecords?result=AUDIT_RESULT_DENIED&action=${action}`;
  const notes = async (): Promise<string> => {
    const records = (await server.asRoot('GET', path)).body.records as readonly Denied[];
    return JSON.stringify(records.map(({ details }) => details?.note));
  };
  await expect.poll(notes, { timeout: 20_000 }).toContain(why);
}

interface Denied {
  readonly details?: { readonly note?: string };
}

const WRONG = {
  ...{ status: 401, reason: 'CREDENTIAL_INVALID' },
  detail: 'the user name or the password is wrong',
};
const group = (name: string): object => ({ kind: 'group', group: name });
const domain = (name: string): object => ({ kind: 'emailDomain', domain: name });
const mapped = { kind: 'mapped' };

describe('who becomes a user', () => {
  it.each<[string, object, object, string | undefined]>([
    ['everybody, without a rule', {}, {}, undefined],
    ['nobody, unless it is said', { provision: false }, {}, 'nobody becomes a user by signing in'],
    ['who has a mapped role', { provisionOnly: [mapped] }, {}, undefined],
    [
      'not who has only default roles',
      { provisionOnly: [mapped], defaultRoles: ['viewer'] },
      { groups: ['Operators'] },
      'it meets none of mapped',
    ],
    ['who has the group', { provisionOnly: [group('engines')], groups: {} }, {}, undefined],
    ['not who has another', { provisionOnly: [group('Engines')] }, {}, 'none of group=Engines'],
    ['who has an address there', { provisionOnly: [domain('EXAMPLE.org')] }, {}, undefined],
    [
      'not who has it elsewhere',
      { provisionOnly: [domain('example.org')] },
      { email: 'ada@mail.example.org' },
      'none of email-domain=example.org',
    ],
    [
      'not who only names it before the domain',
      { provisionOnly: [domain('example.org')] },
      { email: 'ada@example.org@evil.example' },
      'none of email-domain=example.org',
    ],
    [
      'not by an address that nobody has verified',
      { provisionOnly: [domain('example.org')] },
      { email_verified: undefined },
      'none of email-domain=example.org',
    ],
    [
      'not by an address that is called verified in a text',
      { provisionOnly: [domain('example.org')] },
      { email_verified: 'true' },
      'none of email-domain=example.org',
    ],
    [
      'who meets one rule of several',
      { provisionOnly: [group('none'), domain('example.org')] },
      {},
      undefined,
    ],
    [
      'not who meets none of several',
      { provisionOnly: [group('none'), domain('example.net')] },
      {},
      'it meets none of group=none, email-domain=example.net',
    ],
  ])('through an issuer: %s', async (...[, mapping, claims, why]) => {
    await using issuer = await startIssuer({ claims: { ...ADA, ...claims } });
    const log: string[] = [];
    const logger = createLogger({
      level: 'info',
      destination: { write: (line) => log.push(line) },
    });
    const identity = oidcAt(issuer.url, mapping);
    await using server = await startTestServer({ identity }, { logger });
    const answer = await finish(server, await visit(server));
    const exists = (await server.asRoot('GET', '/v1/users/ada.lovelace')).status === 200;
    const isIn = why === undefined;
    expect([outcomeOf(answer), exists]).toEqual([isIn ? 'admitted' : WRONG, isIn]);
    if (isIn) return;
    await expectNoted(server, 'session.signOn', `${why}: 'ada' of 'oidc'`);
    expect(log.some((line) => line.includes(why) && line.includes('FinishSignOn'))).toBe(true);
    expect(answer.text).not.toContain('none of');
  });

  it.each<[string, object, string | undefined]>([
    ['who has a mapped role', { provisionOnly: [mapped] }, undefined],
    ['who has the group', { provisionOnly: [group('OPERATORS')] }, undefined],
    ['not who has another', { provisionOnly: [group('engines')] }, 'none of group=engines'],
    ['not without a mapped role', { provisionOnly: [mapped], groups: {} }, 'none of mapped'],
    ['nobody by an address', { provisionOnly: [domain('example.org')] }, 'none of email-domain'],
    ['nobody, unless it is said', { provision: false }, 'nobody becomes a user by signing in'],
  ])('through a directory: %s', async (_, mapping, why) => {
    const password = 'directory password';
    const memberof = [`cn=operators,ou=groups,${BASE}`];
    const attributes = { uid: 'ada', cn: 'Ada', mail: 'ada@example.org', memberof };
    const dn = `uid=ada,ou=people,${BASE}`;
    await using directory = await startDirectory([{ dn, password, attributes }]);
    await using server = await startTestServer({ identity: ldapAt(directory.port, mapping) });
    expect(outcomeOf(await tryLogin(server, 'ada', 'wrong'))).toEqual(WRONG);
    const answer = await tryLogin(server, 'ada', password);
    expect(outcomeOf(answer)).toEqual(why === undefined ? 'admitted' : WRONG);
    if (why !== undefined) await expectNoted(server, 'session.login', why);
  });

  it('is asked of newcomers alone', async () => {
    await using issuer = await startIssuer();
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    {
      await using server = await startTestServer({ dbPath, identity: oidcAt(issuer.url) });
      expect((await finish(server, await visit(server))).status).toBe(200);
    }
    const identity = oidcAt(issuer.url, { provisionOnly: [group('none')] });
    await using server = await startTestServer({ dbPath, identity });
    expect((await finish(server, await visit(server))).status).toBe(200);
  });
});

describe('a directory', () => {
  const DN = `uid=ada,ou=people,${BASE}`;
  const GROUP = `cn=operators,ou=groups,${BASE}`;

  it('signs in its users, whose roles follow its groups', async () => {
    const groups: string[] = [GROUP];
    await using directory = await startDirectory([
      {
        ...{ dn: DN, password: 'directory password' },
        attributes: { uid: 'ada', cn: 'Ada Lovelace', mail: 'ada@example.org', memberof: groups },
      },
    ]);
    await using server = await startTestServer({ identity: ldapAt(directory.port) });
    const { token } = await login(server, 'ada', 'directory password');
    const list = await server.request('GET', '/v1/snapshots', { token });
    expect(list.status).toBe(200);
    const shown = await server.asRoot('GET', '/v1/users/ada');
    expect(shown.body.user).toMatchObject({ roles: ['operator'], hasPassword: false });
    for (const password of ['wrong', 'Directory password', PASSWORD]) {
      expect((await tryLogin(server, 'ada', password)).body.reason).toBe('CREDENTIAL_INVALID');
    }
    // The group is taken: at the next login the role is gone, for open sessions too.
    groups.length = 0;
    await login(server, 'ada', 'directory password');
    expect((await server.request('GET', '/v1/snapshots', { token })).status).toBe(403);
    // Users with a password here are not asked about there: a wrong one takes as long, and is not sent.
    const binds = directory.binds.length;
    await server.rootToken();
    expect(directory.binds).toHaveLength(binds);
    expect((await tryLogin(server, 'root', 'wrong password')).status).toBe(401);
    expect(directory.binds).toHaveLength(binds + 2);
    const sent = JSON.stringify([directory.binds.slice(binds), directory.filters.at(-1)]);
    expect(sent).not.toMatch(/wrong password|root/);
  });

  it('is left when nobody waits for the sign-in any more', async () => {
    await using directory = await startDirectory([]);
    await using server = await startTestServer({ identity: ldapAt(directory.port) });
    directory.hold(true);
    const asking = new AbortController();
    const login = fetch(`${server.url}/v1/sessions`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      ...{ body: JSON.stringify({ username: 'ada', password: PASSWORD }), signal: asking.signal },
    });
    const left = expect(login).rejects.toThrow();
    await expect.poll(() => directory.filters.length, { timeout: 20_000 }).toBe(1);
    expect(await directory.connections()).toBe(1);
    asking.abort();
    await left;
    // The directory itself would be waited for ten seconds.
    await expect.poll(() => directory.connections(), { timeout: 5000 }).toBe(0);
    directory.hold(false);
  });

  it('that is down keeps nobody out who has a password here', async () => {
    await using server = await startTestServer({ identity: ldapAt(9) });
    expect(await server.rootToken()).not.toBe('');
    await makeUser(server, 'bob');
    // Nor does it tell who has one.
    for (const name of ['ada', 'root', 'bob']) {
      const { status, body } = await tryLogin(server, name, 'wrong');
      expect([status, body.reason]).toEqual([503, 'PROVIDER_UNAVAILABLE']);
    }
  });
});
