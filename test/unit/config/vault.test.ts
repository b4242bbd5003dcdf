/** Secrets that are named in a Vault, against the answers that its documentation has. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { judgeConfig, type Judgement } from '../../../src/config/load.ts';
import { explainConfig } from '../../../src/config/explain.ts';
import { withVault } from '../../../src/config/vault.ts';
import { createVaultClient } from '../../../src/config/vault-client.ts';
import type { FlagValues } from '../../../src/config/values.ts';
import { certificate } from '../../support/certificate.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import {
  LOGIN_TOKEN,
  ROLE_ID,
  SECRET_ID,
  SERVICE_ACCOUNT_JWT,
  startVault,
  VAULT_TOKEN,
  type TestVault,
} from '../../support/vault.ts';

const JWT_SECRET = 'a signing secret that only Vault knows, long enough';
const SECRETS = {
  'secret/data/moltendb/prod': { jwt: JWT_SECRET, root: 'a root password of Vault', port: 1538 },
  'secret/data/gone': null,
};
const NAMED = { 'jwt-secret-vault': 'moltendb/prod#jwt' };
const SECRET_TEXTS = [JWT_SECRET, VAULT_TOKEN, LOGIN_TOKEN, SECRET_ID, SERVICE_ACCOUNT_JWT];

/** Judges with tokens and secret ids as variables, as an operator gives them. */
async function judge(
  vault: Pick<TestVault, 'url'>,
  flags: FlagValues,
  environment: Readonly<Record<string, string>> = { MOLTENDB_VAULT_TOKEN: VAULT_TOKEN },
): Promise<Judgement> {
  const shared = { 'vault-address': vault.url, 'disable-encryption': true };
  return judgeConfig(await withVault({ flags: { ...shared, ...flags }, environment }));
}

/** What is wrong with a named secret. */
async function problemOf(
  vault: Pick<TestVault, 'url'>,
  flags: FlagValues,
  environment?: Readonly<Record<string, string>>,
): Promise<string> {
  const { faults } = await judge(vault, flags, environment);
  const found = faults.filter(({ key }) => key.includes('vault'));
  const text = found.map(({ key, problem }) => `${key} ${problem}`).join('\n');
  for (const secret of SECRET_TEXTS) expect(JSON.stringify(faults)).not.toContain(secret);
  return text;
}

describe('a secret named in Vault', () => {
  it('is read by a token, and each place once', async () => {
    await using vault = await startVault({ secrets: SECRETS });
    const flags = { ...NAMED, 'root-password-vault': '/moltendb/prod#root' };
    const { values, faults } = await judge(vault, flags);
    expect(faults).toEqual([]);
    expect(values.get('jwt-secret')).toEqual({ text: JWT_SECRET, origin: '--jwt-secret-vault' });
    expect(values.get('root-password')?.text).toBe('a root password of Vault');
    expect(vault.requests.map(({ path }) => path)).toEqual(['secret/data/moltendb/prod']);
  });

  it('is read by AppRole, also where that is mounted elsewhere, and its token is given back', async () => {
    await using vault = await startVault({ secrets: SECRETS });
    for (const path of ['approle', 'machines']) {
      const flags = {
        ...{ ...NAMED, 'vault-auth': 'approle', 'vault-role-id': ROLE_ID },
        ...(path === 'approle' ? {} : { 'vault-auth-path': path }),
      };
      const { values } = await judge(vault, flags, { MOLTENDB_VAULT_SECRET_ID: SECRET_ID });
      expect(values.get('jwt-secret')?.text).toBe(JWT_SECRET);
      const made = vault.requests.slice(-3).map((one) => `${one.method} ${one.path}`);
      expect(made).toEqual([
        ...[`POST auth/${path}/login`, 'GET secret/data/moltendb/prod'],
        'POST auth/token/revoke-self',
      ]);
    }
  });

  it('is read by the service account of Kubernetes', async () => {
    using directory = createTemporaryDirectory();
    const jwt = join(directory.path, 'token');
    writeFileSync(jwt, `${SERVICE_ACCOUNT_JWT}\n`);
    await using vault = await startVault({ secrets: SECRETS });
    const flags = { ...NAMED, 'vault-auth': 'kubernetes', 'vault-role': 'moltendb' };
    const { values } = await judge(vault, { ...flags, 'vault-jwt-path': jwt }, {});
    expect(values.get('jwt-secret')?.text).toBe(JWT_SECRET);
    expect(
      await problemOf(vault, { ...flags, 'vault-jwt-path': `${jwt}-of-nobody` }, {}),
    ).toContain('token-of-nobody');
  });

  it('is found in its namespace and under its mount', async () => {
    const secrets = { 'team/kv/data/a b': { 'a field': JWT_SECRET } };
    await using vault = await startVault({ secrets, namespace: 'org/db' });
    const flags = { 'jwt-secret-vault': 'a b#a field', 'vault-mount': 'team/kv' };
    const { values } = await judge(vault, { ...flags, 'vault-namespace': 'org/db' });
    expect(values.get('jwt-secret')?.text).toBe(JWT_SECRET);
    expect(await problemOf(vault, flags)).toContain('403');
  });

  it('comes from a variable, .env and the file as well, and the nearest wins', async () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    await using vault = await startVault({ secrets: SECRETS });
    const token = { MOLTENDB_VAULT_TOKEN: VAULT_TOKEN };
    writeFileSync(config, 'jwt-secret-vault = "moltendb/prod#jwt"', { mode: 0o600 });
    expect((await judge(vault, { config })).values.get('jwt-secret')?.text).toBe(JWT_SECRET);
    const variable = { ...token, MOLTENDB_JWT_SECRET_VAULT: 'moltendb/prod#root' };
    const nearer = await judge(vault, { config }, variable);
    expect(nearer.values.get('jwt-secret')?.origin).toBe('MOLTENDB_JWT_SECRET_VAULT');
    const both = await judge(vault, NAMED, { ...token, MOLTENDB_JWT_SECRET: JWT_SECRET });
    expect(both.faults).toEqual([]);
    const twice = await judge(vault, { ...NAMED, 'jwt-secret-file': '/x' });
    expect(twice.faults.map(({ problem }) => problem)).toContainEqual(
      expect.stringContaining('are both given'),
    );
  });

  it('shows as stars', async () => {
    await using vault = await startVault({ secrets: SECRETS });
    const flags = { ...NAMED, 'vault-address': vault.url };
    const environment = { MOLTENDB_VAULT_TOKEN: VAULT_TOKEN };
    const { options } = explainConfig(await withVault({ flags, environment }));
    const shown = options.filter(({ name }) => ['jwt-secret', 'vault-token'].includes(name));
    expect(shown.map(({ value }) => value)).toEqual(['********', '********']);
  });

  it('is reached by TLS with a certificate that is trusted', async () => {
    using directory = createTemporaryDirectory();
    const ca = join(directory.path, 'ca.pem');
    writeFileSync(ca, certificate);
    await using vault = await startVault({ secrets: SECRETS, tls: true });
    expect((await judge(vault, { ...NAMED, 'vault-ca': ca })).faults).toEqual([]);
    expect(await problemOf(vault, NAMED)).toMatch(/not trusted \(\w+\); give --vault-ca/);
  });
});

describe('what keeps a secret from being read', () => {
  it.each([
    [
      'nothing/here#jwt',
      ['secret/data/nothing/here', 'vault kv put -mount=secret nothing/here jwt=-'],
    ],
    ['gone#jwt', ['secret/data/gone', 'vault kv put']],
    ['forbidden#jwt', ['path "secret/data/forbidden" { capabilities = ["read"] }']],
    ['moltendb/prod#other', ["no field 'other'", 'vault kv patch']],
    ['moltendb/prod#jwt-secret', ['vault kv patch -mount=secret moltendb/prod jwt-secret=-']],
    ['moltendb/prod#port', ["no text in the field 'port'"]],
    ['moltendb/prod#__proto__', ["no field '__proto__'"]],
  ])('%s: the path and what mends it', async (reference, words) => {
    await using vault = await startVault({ secrets: SECRETS });
    const problem = await problemOf(vault, { 'jwt-secret-vault': reference });
    for (const word of ['--jwt-secret-vault', ...words]) expect(problem).toContain(word);
  });

  it.each(['no-field', '#jwt', 'a#b#c', '../sys#x', 'a//b#x', ''])(
    'a reference such as %o, which is not repeated: it may be a secret',
    async (reference) => {
      await using vault = await startVault({ secrets: SECRETS });
      const problem = await problemOf(vault, { 'jwt-secret-vault': reference });
      expect(problem).toBe('--jwt-secret-vault is no reference; write <path>#<field>');
      expect(vault.requests).toEqual([]);
    },
  );

  it('a sign-in that is refused', async () => {
    await using vault = await startVault({ secrets: SECRETS });
    const flags = { ...NAMED, 'vault-auth': 'approle', 'vault-role-id': 'of somebody else' };
    const problem = await problemOf(vault, flags, { MOLTENDB_VAULT_SECRET_ID: SECRET_ID });
    expect(problem).toContain('signing in to Vault by approle failed: it refused that (400)');
    expect(vault.requests).toHaveLength(1);
  });

  it.each([
    [{ 'vault-address': undefined }, '--jwt-secret-vault was not read from Vault'],
    [{ 'vault-address': 'nonsense' }, '--vault-address is no address of http or https'],
    [{ 'vault-address': 'https://a:b@vault' }, '--vault-address holds a user name'],
    [{ 'vault-address': 'http://vault.example.org' }, '--vault-address is not https'],
    [{ 'vault-auth': 'approle' }, '--vault-role-id is missing; --vault-auth approle needs it'],
    [{ 'vault-auth': 'kubernetes' }, '--vault-role is missing'],
    [{ 'vault-token': '' }, '--vault-token is missing'],
  ])('a configuration such as %o, with which nothing is asked', async (flags, words) => {
    await using vault = await startVault({ secrets: SECRETS });
    expect(await problemOf(vault, { ...NAMED, ...flags }, {})).toContain(words);
    expect(vault.requests).toEqual([]);
  });
});

describe('an attempt', () => {
  const place = { namespace: undefined, ca: undefined, timeoutMs: 200, retryMs: 1 };
  const secret = { mount: 'secret', path: 'moltendb/prod' };

  it.each([[[500, 503]], [[429, 'cut' as const]], [[412, 'hang' as const]]])(
    'is made again after %o, twice at most',
    async (first) => {
      await using vault = await startVault({ secrets: SECRETS, first });
      const client = createVaultClient({ ...place, address: vault.url });
      expect((await client.read(VAULT_TOKEN, secret))['jwt']).toBe(JWT_SECRET);
      expect(vault.requests).toHaveLength(3);
    },
  );

  it.each([
    [[503, 503, 503], /sealed or in maintenance \(503\); unseal it/],
    [['hang', 'hang', 'hang'] as const, /cannot be reached \(no answer in time\)/],
    [['cut', 'cut', 'cut'] as const, /cannot be reached \(ECONNRESET\)/],
  ])('that fails like %o is given up', async (first, words) => {
    await using vault = await startVault({ secrets: SECRETS, first });
    const client = createVaultClient({ ...place, address: vault.url });
    await expect(client.read(VAULT_TOKEN, secret)).rejects.toThrow(words);
    expect(vault.requests).toHaveLength(3);
  });

  it('that is sent elsewhere is not made there', async () => {
    await using vault = await startVault({ secrets: SECRETS, first: [307] });
    const client = createVaultClient({ ...place, address: vault.url });
    await expect(client.read(VAULT_TOKEN, secret)).rejects.toThrow('sends elsewhere (307)');
    expect(vault.requests).toHaveLength(1);
  });
});
