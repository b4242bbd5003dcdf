/** What a user meets who gives a command something wrong: one sentence, the documented code, no stack. */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createMolten, type Molten } from '../support/molten.ts';
import { ROOT, startTestServer, type TestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const directory = createTemporaryDirectory();
let server: TestServer;
let molten: Molten;

beforeAll(async () => {
  server = await startTestServer();
  molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password });
  await molten('login', '--url', server.url, '--username', ROOT.username);
  await molten('docs', 'set', 'cities', 'basel', '{"name":"Basel"}');
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

/** A server that is none of ours; it keeps the credentials that it is shown. */
async function startStranger(): Promise<
  AsyncDisposable & { readonly url: string; readonly shown: readonly (string | undefined)[] }
> {
  const shown: (string | undefined)[] = [];
  const http = createServer(({ headers }, response) => {
    shown.push(headers.authorization);
    response.end('<!doctype html>');
  }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as { readonly port: number };
  return {
    ...{ url: `http://127.0.0.1:${String(port)}`, shown },
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

/** What is given, and what is said about it. */
const UNUSABLE: readonly (readonly [says: string, ...args: readonly string[]])[] = [
  [
    "--at-sequence is 'x'; wants a whole number",
    'docs',
    'get',
    'cities',
    'basel',
    '--at-sequence=x',
  ],
  ["--if-version is 'x'; wants a", 'docs', 'set', 'cities', 'basel', '{}', '--if-version', 'x'],
  ["'/nowhere/x' cannot be used: there is no such", 'docs', 'export', 'cities', '-o', '/nowhere/x'],
  ["'/nowhere' cannot be used: there is no such", 'docs', 'import', '/nowhere', '-c', 'cities'],
  ["'/nowhere' cannot be used: there is no such", 'audit', 'verify', '--file', '/nowhere'],
  ["'/nowhere/x' cannot be used: there is no such", 'config', 'init', '/nowhere/x'],
  ["the path is 'name:down'; wants path,", 'indexes', 'create', 'cities', 'name:down'],
  ['there is no terminal to ask; use --yes', 'snapshots', 'delete', 'x'],
  ['say what to change; see --help', 'collections', 'update', 'cities'],
  [
    'give --ttl or --unset ttl, not both',
    'collections',
    'update',
    'cities',
    '--ttl=5',
    '--unset=ttl',
  ],
  [
    'provided when using --document-ttl-field',
    'collections',
    'create',
    'towns',
    '--document-ttl-field=at',
  ],
  ["there is no profile 'work'; make it: molten login", 'whoami', '--profile', 'work'],
  ['holds a user name or a password', 'whoami', '--url', 'http://me:hunter2@127.0.0.1:1'],
];

describe('a command line that cannot be used', () => {
  it.each(UNUSABLE)('is answered with: %s', async (says, ...args) => {
    const { code, stdout, stderr } = await molten(...args);
    // Long lines are wrapped.
    expect(stderr.replaceAll(/\s+›?\s*/g, ' ')).toContain(says);
    expect(stderr).not.toMatch(/^\s+at |hunter2/m);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('is an error in JSON with --json, like a call that fails', async () => {
    const wrong = await molten('docs', 'query', 'cities', '--where', '{', '--json');
    expect(wrong.code).toBe(2);
    expect(JSON.parse(wrong.stdout)).toEqual({
      error: { message: expect.stringContaining('--where is not JSON'), exitCode: 2 },
    });
    const mixed = await molten('docs', 'export', 'cities', '--json');
    expect([mixed.code, JSON.parse(mixed.stdout)]).toEqual([
      2,
      { error: { message: expect.stringContaining('--json wants --output'), exitCode: 2 } },
    ]);
    const missing = await molten('docs', 'get', 'cities', 'bern', '--json');
    expect(missing.code).toBe(5);
    expect(JSON.parse(missing.stdout)).toMatchObject({
      error: { reason: 'DOCUMENT_NOT_FOUND', exitCode: 5, metadata: { key: 'bern' } },
    });
  });
});

describe('an export', () => {
  it('of a collection that there is not leaves the file of before as it was', async () => {
    const file = join(directory.path, 'export.ndjson');
    writeFileSync(file, 'before');
    const { code, stderr } = await molten('docs', 'export', 'citties', '-o', file);
    expect([code, readFileSync(file, 'utf8')]).toEqual([5, 'before']);
    expect(stderr).toContain("'citties'");
    const none = await molten('docs', 'export', 'cities', '-o', file, '--where', '{"name":"x"}');
    expect([none.code, readFileSync(file, 'utf8')]).toEqual([0, '']);
  });
});

describe('the sessions of a user', () => {
  it('tell those of the command line from others', async () => {
    const { stdout } = await molten('sessions', 'list', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      sessions: [{ client: expect.stringMatching(/^molten\/\d/) }],
    });
  });
});

describe('the token of a profile', () => {
  it('is shown to its own server only', async () => {
    await using stranger = await startStranger();
    expect((await molten('whoami', '--url', server.url)).code).toBe(0);
    expect((await molten('whoami', '--url', stranger.url)).code).toBe(1);
    const { code, stdout } = await molten('doctor', '--url', stranger.url);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAIL {2}server: health: .* JSON object; see that this is a MoltenDB/m);
    expect(stranger.shown.length).toBeGreaterThan(2);
    // The doctor shows one that it has forged.
    const forged = 'Bearer eyJhbGciOiJub25lI';
    const credentials = stranger.shown.filter((one) => one?.startsWith(forged) !== true);
    expect(new Set(credentials)).toEqual(new Set([undefined]));
  });
});

describe('snapshots', () => {
  it('that are not there leave nothing behind when they are asked for', async () => {
    const name = '20260131T235959000Z-0000000000000042';
    const { code } = await molten('snapshots', 'download', name, '--output', directory.path);
    expect(code).toBe(5);
    expect(existsSync(join(directory.path, name))).toBe(false);
  });
});

describe('commands that open a store', () => {
  it('take the key from where the server takes it', async () => {
    const key = join(directory.path, 'key');
    const store = join(directory.path, 'store');
    const log = join(directory.path, 'moltendb.log');
    writeFileSync(key, 'a key of the store, long enough\n', { mode: 0o600 });
    writeFileSync(log, '');
    const variables = { MOLTENDB_ENCRYPTION_KEY: '', MOLTENDB_ENCRYPTION_KEY_FILE: key };
    const operator = createMolten(directory.path, variables);
    await operator.json('upgrade', log, '--out', store);
    expect((await molten('verify', '--db-path', store)).code).not.toBe(0);
    for (const flags of [[], ['--encryption-key-file', key]]) {
      expect((await operator('verify', '--db-path', store, ...flags)).code).toBe(0);
    }
  });
});
