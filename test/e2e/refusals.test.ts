/** Each row of the table of refusals, as an operator meets it: a server that does not start. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { REFUSALS } from '../../src/config/refusals.ts';
import {
  certificate,
  expiredCertificate,
  otherPrivateKey,
  privateKey,
} from '../support/certificate.ts';
import { refusedStart } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more';
const PASSWORD = 'a password long enough for tests';
const BASE = { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_ROOT_PASSWORD: PASSWORD };
const LDAP = ['--ldap-url', 'ldaps://ldap.example.org', '--ldap-user-base', 'dc=example'];
const OIDC = ['--oidc-client-id', 'molten', '--oidc-issuer'];

/** One start: the row it is for, what is given, and what is said. */
interface Case {
  readonly row: string;
  readonly args: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly says: string;
}

const CASES: readonly Case[] = [
  {
    ...{ row: 'signing secret given', args: [], says: '--jwt-secret is missing; give at least 32' },
    variables: { MOLTENDB_ROOT_PASSWORD: PASSWORD },
  },
  {
    ...{ row: 'signing secret strong', args: [], says: 'MOLTENDB_JWT_SECRET is shorter than 32' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET: 'short' },
  },
  {
    ...{ row: 'signing secret strong', args: [], says: 'PREVIOUS looks like a placeholder; make' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET_PREVIOUS: 'a'.repeat(40) },
  },
  ...[
    'your-super-secret-jwt-token-with-at-least-32-characters-long',
    'CHANGE_ME_IN_PRODUCTION_8f2a61c94be7',
    'abcdefghijklmnopqrstuvwxyz123456',
  ].map((secret) => ({
    ...{ row: 'signing secret strong', args: [], says: 'JWT_SECRET looks like a placeholder' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET: secret },
  })),
  {
    ...{ row: 'set-up token strong', args: [], says: 'MOLTENDB_SETUP_TOKEN is shorter than 32' },
    variables: { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_SETUP_TOKEN: 'short' },
  },
  {
    row: 'set-up closed to others',
    args: ['--host', '0.0.0.0', '--allow-cleartext'],
    variables: { MOLTENDB_JWT_SECRET: SECRET },
    says: '--root-password is missing, and whoever comes first could give one; give it',
  },
  {
    ...{ row: 'root password strong', args: [], says: 'MOLTENDB_ROOT_PASSWORD is weak; give' },
    variables: { ...BASE, MOLTENDB_ROOT_PASSWORD: 'admin123' },
  },
  ...['qwertyuiop12', '123iloveyou!', 'administrator'].map((password) => ({
    ...{ row: 'root password strong', says: 'MOLTENDB_ROOT_PASSWORD is weak; give' },
    args: ['--root-user', 'administrator'],
    variables: { ...BASE, MOLTENDB_ROOT_PASSWORD: password },
  })),
  {
    row: 'encryption key meant',
    args: ['--disable-encryption'],
    variables: { ...BASE, MOLTENDB_ENCRYPTION_KEY: 'x' },
    says: 'MOLTENDB_ENCRYPTION_KEY is given together with --disable-encryption; give one',
  },
  {
    row: 'each secret for one purpose',
    args: [],
    variables: { ...BASE, MOLTENDB_ENCRYPTION_KEY: SECRET },
    says: 'MOLTENDB_ENCRYPTION_KEY is the same as --jwt-secret: who learns one has both; make',
  },
  {
    row: 'each secret for one purpose',
    args: [],
    variables: { ...BASE, MOLTENDB_JWT_SECRET: PASSWORD },
    says: 'is the same as --jwt-secret',
  },
  {
    row: 'secret files private',
    args: ['--encryption-key-file', 'open.txt'],
    says: "--encryption-key-file is in 'open.txt', which others can read (mode 644); chmod 600",
  },
  {
    row: 'secret files private',
    args: ['--config', 'open.toml'],
    says: 'encryption-key in open.toml is in',
  },
  {
    row: 'secret files private',
    args: ['--cert', 'cert.pem', '--key', 'open-key.pem'],
    says: "--key is in 'open-key.pem', which others can read",
  },
  {
    row: 'TLS beyond this machine',
    args: ['--host', '0.0.0.0'],
    says: '--host is not this machine, and there is no TLS; give --cert and --key',
  },
  {
    row: 'development on this machine',
    args: ['--dev-mode', '--host', '0.0.0.0'],
    says: '--host is not this machine; --dev-mode listens only',
  },
  { row: 'certificate usable', args: ['--cert', 'cert.pem'], says: '--cert is given alone; TLS' },
  {
    row: 'certificate usable',
    args: ['--cert', 'missing.pem', '--key', 'key.pem'],
    says: "--cert names 'missing.pem', which does not exist; give",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'expired.pem', '--key', 'key.pem'],
    says: '--cert expired at Feb 1 00:00:00 2020 GMT; renew it',
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'cert.pem', '--key', 'other-key.pem'],
    says: '--key is not the key of the certificate; give the pair',
  },
  {
    row: 'CORS origins exact',
    args: ['--cors-origin', 'https://app.example.org/'],
    says: "--cors-origin has 'https://app.example.org/', which no browser sends; give",
  },
  {
    row: 'CORS origins exact',
    args: ['--cors-origin', '*,https://app.example.org'],
    says: '--cors-origin has * beside other origins; give',
  },
  {
    row: 'client certificates checkable',
    args: ['--client-ca', 'cert.pem'],
    says: '--client-ca is given without TLS, so that no client can show anything; give --cert',
  },
  {
    row: 'client certificates checkable',
    args: ['--cert', 'cert.pem', '--key', 'key.pem', '--client-ca', 'expired.pem'],
    says: '--client-ca expired at Feb 1 00:00:00 2020 GMT; renew it',
  },
  {
    row: 'limits in order',
    args: ['--max-connections', '100', '--max-connections-per-address', '101'],
    says: '--max-connections-per-address is 101, above --max-connections 100; lower it',
  },
  {
    row: 'limits in order',
    args: ['--headers-timeout', '60', '--request-timeout', '30'],
    says: '--headers-timeout is 60, above --request-timeout 30; lower it',
  },
  {
    row: 'limits in order',
    args: ['--rate-limit-burst', '10'],
    says: '--rate-limit-burst is given without --rate-limit-requests, which says how fast',
  },
  {
    row: 'limits in order',
    args: ['--rate-limit-burst', '10'],
    variables: { ...BASE, MOLTENDB_RATE_LIMIT_REQS: '5' },
    says: '--rate-limit-burst is 10, above --rate-limit-requests 5; lower it',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'mysql://molten@db.example.org/app'],
    says: '--storage-url is no address of a PostgreSQL; write postgres://',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslmod=disable'],
    says: "--storage-url has the unknown parameter 'sslmod'; did you mean 'sslmode'?",
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslrootcert=/nowhere.pem'],
    says: '--storage-url names a file as sslrootcert that is not there',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten:secret@db.example.org/app'],
    says: '--storage-url holds a password, which shows wherever the address does; give it as',
  },
  {
    row: 'database by TLS',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslmode=disable'],
    says: '--storage-url would send every document over the network in the clear; leave',
  },
  {
    row: 'Vault by TLS',
    args: ['--vault-address', 'http://vault.example.org:8200'],
    says: '--vault-address is not https, and secrets would cross the network in the clear; use',
  },
  {
    row: 'Vault by TLS',
    args: ['--vault-address', 'https://me:secret@vault.example.org:8200'],
    says: '--vault-address holds a user name or a password; use --vault-auth',
  },
  {
    row: 'Vault can be signed in to',
    args: ['--vault-address', 'https://vault.example.org:8200', '--vault-auth', 'approle'],
    says: '--vault-role-id is missing; --vault-auth approle needs it',
  },
  {
    row: 'traces to a collector',
    args: ['--otlp-endpoint', 'collector:4318'],
    says: '--otlp-endpoint is no address of http or https; give',
  },
  {
    row: 'traces to a collector',
    args: ['--otlp-endpoint', 'https://me:secret@collector.example.org'],
    says: '--otlp-endpoint holds a user name or a password; leave them out',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://hooks.example.org/'],
    variables: { ...BASE, MOLTENDB_ALERT_WEBHOOK_SECRET: 'a'.repeat(40) },
    says: 'MOLTENDB_ALERT_WEBHOOK_SECRET looks like a placeholder',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'http://hooks.example.org/'],
    says: '--alert-webhook-url is not https; use it',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://hooks.example.org/'],
    variables: { ...BASE, MOLTENDB_ALERT_WEBHOOK_SECRET: 'short' },
    says: 'MOLTENDB_ALERT_WEBHOOK_SECRET is shorter than 32 bytes',
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', '10.0.0.1,0.0.0.0/0'],
    says: "--trusted-proxy has '0.0.0.0/0', which takes in every address; give",
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', '0.0.0.0/1,128.0.0.0/1'],
    says: "--trusted-proxy has '128.0.0.0/1', which is wider than a /8; give",
  },
  {
    row: 'directories writable',
    args: ['--db-path', 'key.pem/store'],
    says: "--db-path names 'key.pem/store', which is or leads through a file; give",
  },
  {
    row: 'archive apart from the store',
    args: ['--archive-dir', 'store/log'],
    says: '--archive-dir is inside --db-path, so that one loss would take both; give',
  },
  {
    row: 'script executable',
    args: ['--post-backup-script', 'cert.pem'],
    says: "--post-backup-script names 'cert.pem', which is no file that this user can run; chmod",
  },
  {
    row: 'schedule well-formed',
    args: ['--snapshot-schedule', 'at three'],
    says: "--snapshot-schedule is 'at three', which is no cron expression",
  },
  {
    row: 'directory complete',
    args: [...LDAP, '--ldap-bind-dn', 'cn=molten'],
    says: '--ldap-bind-password is missing; a service account',
  },
  {
    row: 'directory complete',
    args: ['--ldap-url', 'ldaps://cn:secret@ldap.example.org', '--ldap-user-base', 'dc=example'],
    says: '--ldap-url holds a user name or a password; give them as',
  },
  {
    row: 'directory by TLS',
    args: ['--ldap-url', 'ldap://ldap.example.org', '--ldap-user-base', 'dc=example'],
    says: '--ldap-url would send passwords over the network in the clear; use ldaps://',
  },
  {
    row: 'issuer complete',
    args: ['--oidc-issuer', 'https://issuer.example.org'],
    says: '--oidc-client-id is missing',
  },
  {
    row: 'issuer by TLS',
    args: [...OIDC, 'http://issuer.example.org', '--oidc-allow-insecure'],
    says: "--oidc-issuer is 'http://issuer.example.org', which is not https://; use",
  },
  {
    row: 'issuer by TLS',
    args: [...OIDC, 'http://127.0.0.1:1'],
    says: '--oidc-allow-insecure is for an issuer on this machine',
  },
  {
    row: 'who becomes a user well-formed',
    args: [...OIDC, 'https://issuer.example.org', '--oidc-provision-only', 'group=staff'],
    says: '--oidc-provision-only says who becomes a user, and nobody does; give --oidc-provision',
  },
  {
    row: 'who becomes a user well-formed',
    args: [
      ...[...OIDC, 'https://issuer.example.org', '--oidc-provision'],
      ...['--oidc-provision-only', 'group=staff,email-domain=@example.org'],
    ],
    says: "has 'email-domain=@example.org'; wants mapped, group=name or email-domain=example.org",
  },
  {
    row: 'who becomes a user well-formed',
    args: [...LDAP, '--ldap-provision', '--ldap-provision-only', 'email-domain=example.org'],
    says: "--ldap-provision-only has 'email-domain=example.org'; wants mapped or group=name, with",
  },
  {
    row: 'who becomes a user well-formed',
    args: [...LDAP, '--ldap-provision', '--ldap-provision-only', 'mapped'],
    says: '--ldap-provision-only has mapped, and no group has a role; give --ldap-roles',
  },
  {
    row: 'roles by group well-formed',
    args: [...LDAP, '--ldap-roles', 'staff'],
    says: "--ldap-roles has 'staff'; wants group=role",
  },
];

describe('molten serve', () => {
  // Whoever tried to listen here would end with another exit code.
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '0.0.0.0', resolve));
  });
  afterAll(() => taken.close());

  it('has a case here for each row of the table', () => {
    expect(new Set(CASES.map(({ row }) => row))).toEqual(new Set(REFUSALS.map(({ name }) => name)));
  });

  it.each(CASES)('does not start: $row, $says', async ({ args, variables = BASE, says }) => {
    using directory = createTemporaryDirectory();
    writeFiles(directory.path);
    const { port } = taken.address() as { readonly port: number };
    const all = ['--db-path', 'store', ...args, '--port', String(port)];
    const started = { args: withoutRepeats(all), variables, directory: directory.path };
    const { code, stderr } = await refusedStart(started);
    expect(stderr.replaceAll(/\s*›\s*|\s+/g, ' ')).toContain(says);
    expect(code).toBe(2);
  });
});

function writeFiles(directory: string): void {
  const write = (name: string, text: string, mode: number): void => {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), mode);
  };
  mkdirSync(join(directory, 'store'));
  write('open.txt', 'a key that others read', 0o644);
  write('open.toml', 'encryption-key = "a key that others read"\n', 0o644);
  write('open-key.pem', privateKey, 0o644);
  write('cert.pem', certificate, 0o600);
  write('expired.pem', expiredCertificate, 0o600);
  write('key.pem', privateKey, 0o600);
  write('other-key.pem', otherPrivateKey, 0o600);
}

/** A flag may be given once: the case's own wins. */
function withoutRepeats(args: readonly string[]): readonly string[] {
  return args.lastIndexOf('--db-path') > 0 ? args.slice(2) : args;
}
