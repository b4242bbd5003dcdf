/** Flags about who reaches a server, who signs in there and where its secrets come from. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openBrowser } from '../support/browser.ts';
import {
  certificate,
  otherCertificate,
  otherPrivateKey,
  privateKey,
} from '../support/certificate.ts';
import { ROOT as BASE, SERVICE, startDirectory, startTlsFront } from '../support/directory.ts';
import { ADA, CLIENT, REDIRECT_URI, startIssuer } from '../support/issuer.ts';
import { SECRETS, serveWith, type Served } from '../support/served.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import {
  ROLE_ID,
  SECRET_ID,
  SERVICE_ACCOUNT_JWT,
  startVault,
  VAULT_TOKEN,
} from '../support/vault.ts';

const LONG_MS = 90_000;
const PASSWORD = SECRETS['MOLTENDB_ROOT_PASSWORD']!;
const FAR = { 'x-forwarded-for': '198.51.100.7' };

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const [, payload = ''] = token.split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

describe('flags about tokens and passwords', () => {
  it('make them as they say', { timeout: LONG_MS }, async () => {
    await using served = await serveWith([
      ...['--root-user', 'chief', '--token-issuer', 'here', '--token-audience', 'there'],
      ...['--access-token-ttl', '120', '--password-min-length', '20', '--write-mode', 'async'],
      ...['--max-tokens-per-user', '100', '--trusted-proxy', '127.0.0.1'],
      ...['--rate-limit-logins', '2'],
    ]);
    const token = await served.login('chief');
    const { iss, aud, sub, exp, iat } = claimsOf(token);
    expect({ iss, aud, sub, life: Number(exp) - Number(iat) }).toEqual({
      ...{ iss: 'here', aud: 'there', sub: 'chief', life: 120 },
    });
    const user = { name: 'ada', password: 'nineteen characters', roles: ['viewer'] };
    const weak = await served.ask('POST', '/v1/users', { token, body: user });
    expect([weak.status, weak.body.detail]).toEqual([400, expect.stringContaining('at least 20')]);
    const delegated = { clientId: 'c', scopes: ['read:*:*'] };
    const statuses = [];
    for (let n = 0; n < 101; n++) {
      statuses.push((await served.ask('POST', '/v1/tokens', { token, body: delegated })).status);
    }
    expect(statuses).toEqual([...Array<number>(100).fill(200), 429]);
    // Each address behind the proxy has its own budget; that of this machine is used up.
    const body = { username: 'chief', password: PASSWORD };
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await served.ask('POST', '/v1/sessions', { body, headers })).status;
    expect([await ask(FAR), await ask(FAR), await ask(FAR)]).toEqual([200, 200, 429]);
    expect(await ask({ 'x-forwarded-for': '198.51.100.8' })).toBe(200);
  });

  it('take the tokens of the secret before', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    const args = ['--db-path', join(directory.path, 'store')];
    const [before, now] = [0, 1].map(() => randomBytes(40).toString('base64url'));
    const start = (secrets: Record<string, string>): Promise<Served> =>
      serveWith(args, { variables: { ...SECRETS, ...secrets } });
    let token: string;
    {
      await using served = await start({ MOLTENDB_JWT_SECRET: before! });
      token = await served.login();
      expect(await served.server.stop('SIGTERM')).toBe(0);
    }
    const renewed = { MOLTENDB_JWT_SECRET: now!, MOLTENDB_JWT_SECRET_PREVIOUS: before! };
    for (const [secrets, status] of [
      [renewed, 200],
      [{ MOLTENDB_JWT_SECRET: now! }, 401],
    ] as const) {
      await using served = await start(secrets);
      expect((await served.ask('GET', '/v1/status', { token })).status).toBe(status);
      expect(await served.server.stop('SIGTERM')).toBe(0);
    }
  });
});

describe('flags about who reaches a server', () => {
  it('let a set-up token in from elsewhere, and origins', { timeout: LONG_MS }, async () => {
    const setupToken = randomBytes(40).toString('base64url');
    await using served = await serveWith(
      [
        ...['--host', '0.0.0.0', '--allow-cleartext', '--trusted-proxy', '127.0.0.1'],
        ...['--cors-origin', 'https://a.example.org,https://b.example.org'],
      ],
      {
        variables: {
          MOLTENDB_JWT_SECRET: SECRETS['MOLTENDB_JWT_SECRET']!,
          MOLTENDB_SETUP_TOKEN: setupToken,
        },
      },
    );
    expect(served.server.url).toMatch(/^http:\/\/0\.0\.0\.0:/);
    const complete = (body: object): Promise<{ status: number }> =>
      served.ask('POST', '/v1/setup', { body: { password: PASSWORD, ...body }, headers: FAR });
    expect((await complete({})).status).toBe(403);
    expect((await complete({ setupToken })).status).toBe(200);
    expect(await served.login()).toContain('.');
    const allowed = async (origin: string): Promise<string | null> => {
      const { headers } = await served.ask('GET', '/v1/health', { headers: { origin } });
      return headers.get('access-control-allow-origin');
    };
    expect(await allowed('https://b.example.org')).toBe('https://b.example.org');
    expect(await allowed('https://c.example.org')).toBeNull();
  });

  it.each([
    ['required', [200, 'turned away', 'turned away']],
    ['optional', [200, 'turned away', 200]],
  ])('ask for certificates: %s', { timeout: LONG_MS }, async (choice, expected) => {
    using directory = createTemporaryDirectory();
    const file = (name: string, text: string): string => {
      const path = join(directory.path, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    await using served = await serveWith([
      ...['--cert', file('cert.pem', certificate), '--key', file('key.pem', privateKey)],
      ...['--client-ca', file('ca.pem', otherCertificate), '--client-cert', choice],
    ]);
    const ask = (shown: { cert?: string; key?: string }): Promise<unknown> =>
      new Promise((resolve) => {
        const options = { ...shown, ca: certificate, servername: 'localhost', agent: false };
        request(`${served.server.url}/v1/health`, options, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
          .on('error', () => {
            resolve('turned away');
          })
          .end();
      });
    const good = await ask({ cert: otherCertificate, key: otherPrivateKey });
    const bad = await ask({ cert: certificate, key: privateKey });
    expect([good, bad, await ask({})]).toEqual(expected);
  });
});

const PEOPLE = [
  {
    dn: `cn=Ada,ou=people,${BASE}`,
    password: 'correct horse battery',
    attributes: { login: 'ada', cn: 'Ada Lovelace', entryuuid: 'b0c1' },
  },
  {
    dn: `cn=Eve,ou=people,${BASE}`,
    password: 'correct horse staple',
    attributes: { login: 'eve', cn: 'Eve', entryuuid: 'b0c2' },
  },
  { dn: `cn=Clerks,ou=groups,${BASE}`, attributes: { cn: 'Clerks', who: ['ada'] } },
];

describe('flags about a directory', () => {
  it('find users and their groups there, by TLS', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    const ca = join(directory.path, 'ca.pem');
    writeFileSync(ca, certificate);
    await using people = await startDirectory(PEOPLE);
    await using front = await startTlsFront(people.port);
    await using served = await serveWith(
      [
        ...['--ldap-url', `ldap://127.0.0.1:${String(front.port)}`, '--ldap-starttls'],
        ...['--ldap-ca', ca, '--ldap-bind-dn', SERVICE.dn],
        ...['--ldap-user-base', `ou=people,${BASE}`, '--ldap-user-filter', '(login={username})'],
        ...['--ldap-username-attribute', 'login'],
        ...['--ldap-subject-attribute', 'entryUUID', '--ldap-group-base', `ou=groups,${BASE}`],
        ...['--ldap-group-filter', '(who={username})', '--ldap-roles', 'Clerks=operator'],
        ...['--ldap-default-roles', 'viewer', '--ldap-provision'],
        ...['--ldap-provision-only', 'mapped'],
      ],
      { variables: { ...SECRETS, MOLTENDB_LDAP_BIND_PASSWORD: SERVICE.password } },
    );
    const signIn = (username: string, password: string): Promise<{ status: number }> =>
      served.ask('POST', '/v1/sessions', { body: { username, password } });
    expect((await signIn('ada', 'correct horse battery')).status).toBe(200);
    expect((await signIn('eve', 'correct horse staple')).status).toBe(401);
    expect(people.binds[0]).toEqual(SERVICE);
    expect(Buffer.concat(front.clear).toString('latin1')).not.toContain(SERVICE.password);
    const token = await served.login();
    const { body } = await served.ask('GET', '/v1/users/ada', { token });
    expect(body.user).toMatchObject({
      ...{ roles: ['viewer', 'operator'], identities: [{ provider: 'ldap', subject: 'b0c1' }] },
    });
  });
});

describe('flags about an issuer', () => {
  it('say what of its claims counts', { timeout: LONG_MS }, async () => {
    const claims = { ...ADA, realm_access: { roles: ['staff'] } };
    await using issuer = await startIssuer({ claims });
    await using served = await serveWith(
      [
        ...['--oidc-issuer', issuer.url, '--oidc-allow-insecure', '--oidc-provision'],
        ...['--oidc-client-id', CLIENT.clientId, '--oidc-redirect-uri', REDIRECT_URI],
        ...['--oidc-scopes', 'openid,profile,email', '--oidc-username-claim', 'sub'],
        ...['--oidc-groups-claim', 'realm_access.roles', '--oidc-roles', 'staff=operator'],
        ...['--oidc-default-roles', 'viewer'],
        ...['--oidc-provision-only', 'group=nobody,email-domain=example.org'],
      ],
      { variables: { ...SECRETS, MOLTENDB_OIDC_CLIENT_SECRET: CLIENT.clientSecret } },
    );
    const body = { provider: 'oidc', redirectUri: REDIRECT_URI };
    const begun = await served.ask('POST', '/v1/signOns', { body });
    const callbackUrl = await openBrowser().follow(String(begun.body.url), REDIRECT_URI);
    const finish = { signOn: begun.body.signOn, callbackUrl };
    expect((await served.ask('POST', '/v1/signOns:finish', { body: finish })).status).toBe(200);
    const token = await served.login();
    const shown = await served.ask('GET', '/v1/users/ada', { token });
    expect(shown.body.user.roles).toEqual(['viewer', 'operator']);
    expect(issuer.requests.join('\n')).toContain('scope=openid+profile+email');
  });
});

describe('flags about Vault', () => {
  const root = { root: PASSWORD };
  const reference = ['--root-password-vault', 'prod#root'];
  const jwt = { MOLTENDB_JWT_SECRET: SECRETS['MOLTENDB_JWT_SECRET']! };

  it('find a secret by a token, in a namespace, by TLS', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    const ca = join(directory.path, 'ca.pem');
    writeFileSync(ca, certificate);
    const secrets = { 'kv/data/prod': root };
    await using vault = await startVault({ secrets, tls: true, namespace: 'team' });
    const place = ['--vault-address', vault.url, '--vault-ca', ca, '--vault-mount', 'kv'];
    await using served = await serveWith(
      [...reference, ...place, '--vault-namespace', 'team', '--vault-timeout', '4000'],
      { variables: { ...jwt, MOLTENDB_VAULT_TOKEN: VAULT_TOKEN } },
    );
    expect(await served.login()).toContain('.');
  });

  it.each([
    ['approle', ['--vault-auth-path', 'machines', '--vault-role-id', ROLE_ID]],
    ['kubernetes', ['--vault-role', 'moltendb', '--vault-jwt-path', '{}/jwt']],
  ])('sign in by %s', { timeout: LONG_MS }, async (method, flags) => {
    using directory = createTemporaryDirectory();
    writeFileSync(join(directory.path, 'jwt'), SERVICE_ACCOUNT_JWT);
    await using vault = await startVault({ secrets: { 'secret/data/prod': root } });
    const own = flags.map((flag) => flag.replace('{}', directory.path));
    await using served = await serveWith(
      [...reference, '--vault-address', vault.url, '--vault-auth', method, ...own],
      { variables: { ...jwt, MOLTENDB_VAULT_SECRET_ID: SECRET_ID } },
    );
    expect(await served.login()).toContain('.');
  });
});
