/** A store that moves to PostgreSQL and back, by the commands of the page for operators. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import { createMolten, MOLTEN, type CommandResult, type Molten } from '../support/molten.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { refusedStart, startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const PASSWORD = 'a password long enough for tests';
const KEY = 'correct horse battery staple';
const require = createRequire(import.meta.url);
const PAGE = readFileSync(new URL('../../docs/operating/postgres.md', import.meta.url), 'utf8');

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

const ADDRESS = 'postgres://molten@db.example.org/app';

/** A file with the password of the database. */
function secretIn(path: string): string {
  const secret = join(path, 'database-password');
  writeFileSync(secret, database.password, { mode: 0o600 });
  return secret;
}

/** The commands of the page that follow a heading or a text, for other places. */
function commands(behind: string, places: Readonly<Record<string, string>>): string {
  const [, found = ''] = /```sh\n([\s\S]*?)```/.exec(PAGE.slice(PAGE.indexOf(behind))) ?? [];
  const all = { 'npx molten': `"${process.execPath}" "${MOLTEN}"`, ...places };
  return Object.entries(all).reduce((text, [name, place]) => {
    expect(text).toContain(name);
    return text.replaceAll(name, place);
  }, found);
}

interface Running extends Disposable {
  readonly ended: Promise<CommandResult>;
  kill(): void;
}

/** Runs commands; `onError` is told what they print on standard error. */
function run(
  script: string,
  cwd: string,
  onError: (text: string) => void = () => undefined,
): Running {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    ...{ cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    env: { PATH: process.env['PATH'], HOME: cwd, MOLTENDB_ENCRYPTION_KEY: KEY },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onError(stderr);
  });
  const kill = (): void => {
    // The shell and what it started.
    if (child.exitCode === null && child.signalCode === null) {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }
  };
  return {
    ended: once(child, 'close').then(([code]) => ({ code: Number(code ?? -1), stdout, stderr })),
    kill,
    [Symbol.dispose]: kill,
  };
}

function serve(path: string, ...args: readonly string[]): Promise<ServeProcess> {
  return startServe({
    args: [...['--port', '0', '--archive-interval', '1'], ...args],
    directory: path,
    variables: {
      MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
      MOLTENDB_ROOT_PASSWORD: PASSWORD,
      MOLTENDB_ENCRYPTION_KEY: KEY,
      MOLTENDB_STORAGE_PASSWORD: database.password,
    },
  });
}

async function login(molten: Molten, { url }: ServeProcess): Promise<void> {
  const { code, stderr } = await molten('login', url);
  expect(code, stderr).toBe(0);
}

async function countOf(molten: Molten, collection: string): Promise<number> {
  const args = ['docs', 'query', collection, '--total', '--limit', '1'];
  return (await molten.json<{ readonly total: number }>(...args)).total;
}

/** What `molten migrate --json` says. */
interface Report {
  readonly sequence: number;
  readonly sha256: string;
  readonly isEqual: boolean;
  readonly collections: readonly { readonly name: string; readonly documents: number }[];
}

describe('an operator with a PostgreSQL', () => {
  it('moves a server there while it serves, by its page', async () => {
    using directory = createTemporaryDirectory();
    const { path } = directory;
    const molten = createMolten(path, { MOLTEN_PASSWORD: PASSWORD });
    const secret = secretIn(path);
    await using first = await serve(path, '--db-path', join(path, 'data'));
    await login(molten, first);
    const countries = require.resolve('world-countries/countries.json');
    await molten.json('docs', 'import', countries, '-c', 'countries', '-k', 'cca2');
    let isFollowing: () => void = () => undefined;
    const following = new Promise<void>((resolve) => (isFollowing = resolve));
    const script = commands('## Moving a store', {
      '/run/secrets/database-password': secret,
      [ADDRESS]: database.url('molten'),
    });
    using moving = run(script, path, (text) => {
      if (text.includes('following, until the servers stop')) isFollowing();
    });
    await Promise.race([following, moving.ended]);
    await molten.json('docs', 'set', 'countries', 'XX', '{"name":"written late"}');
    expect(await first.stop('SIGTERM')).toBe(0);
    const moved = await moving.ended;
    expect(moved.code, moved.stderr).toBe(0);
    const report = JSON.parse(moved.stdout) as Report;
    expect(report).toMatchObject({
      isEqual: true,
      collections: [{ name: 'countries', documents: 251 }],
    });

    await using second = await serve(
      path,
      ...['--storage-url', database.url('molten'), '--db-path', join(path, 'node')],
    );
    await login(molten, second);
    expect(await countOf(molten, 'countries')).toBe(251);
  }, 240_000);

  it('goes back to a moment of a database, and moves what it finds to a directory', async () => {
    using directory = createTemporaryDirectory();
    const { path } = directory;
    const molten = createMolten(path, { MOLTEN_PASSWORD: PASSWORD });
    const secret = secretIn(path);
    const storage = (schema: string): string[] => ['--storage-url', database.url(schema)];
    const node = join(path, 'node');
    const archive = ['--archive-dir', join(path, 'log'), '--db-path', node];
    await using first = await serve(path, ...storage('lost'), ...archive);
    await login(molten, first);
    await molten.json('docs', 'set', 'countries', 'XX', '{"name":"before the snapshot"}');
    await molten.json('snapshots', 'create');
    await molten.json('docs', 'set', 'countries', 'YY', '{"name":"after the snapshot"}');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const moment = new Date(systemClock.now()).toISOString();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await molten.json('collections', 'drop', 'countries', '--yes');
    expect(await first.stop('SIGTERM')).toBe(0);
    const [snapshot = ''] = readdirSync(join(node, 'snapshots'));
    const back = commands('To go back to a moment', {
      '/backup/20260131T030000000Z-0000000000004711': join(node, 'snapshots', snapshot),
      '/backup/log': join(path, 'log'),
      '2026-01-31T23:59:59Z': moment,
      [`${ADDRESS}?schema=recovered`]: database.url('recovered'),
    });
    const recovered = await run(`export MOLTENDB_STORAGE_PASSWORD_FILE='${secret}'\n${back}`, path)
      .ended;
    expect(recovered.code, recovered.stderr).toBe(0);

    await using second = await serve(path, ...storage('recovered'), '--db-path', node);
    await login(molten, second);
    expect(await countOf(molten, 'countries')).toBe(2);
    expect(await second.stop('SIGTERM')).toBe(0);
    const again = commands('The way back is the same', { [ADDRESS]: database.url('recovered') });
    const returned = await run(
      `export MOLTENDB_STORAGE_PASSWORD_FILE='${secret}'\n${again.trim()} --json`,
      path,
    ).ended;
    expect(returned.code, returned.stderr).toBe(0);
    await using last = await serve(path, '--db-path', join(path, 'data-again'));
    await login(molten, last);
    expect(await countOf(molten, 'countries')).toBe(2);
    expect(await last.stop('SIGTERM')).toBe(0);
    const verified = await run(`"${process.execPath}" "${MOLTEN}" verify ./data-again`, path).ended;
    expect(verified.stdout).toContain('store is sound');
  }, 240_000);

  it('kills a move in its middle: no node opens what is there, and the next move begins anew', async () => {
    using directory = createTemporaryDirectory();
    const { path } = directory;
    mkdirSync(join(path, 'data'));
    const store = await openEmbeddedStore({
      ...{ directory: join(path, 'data'), clock: systemClock, password: KEY },
    });
    for (let batch = 0; batch < 40; batch++) {
      await store.transact({ durability: 'async' }, (transaction) => {
        for (let n = 0; n < 500; n++) {
          const key = `${String(batch)}-${String(n)}`;
          transaction.put({ collection: 'c', key, body: JSON.stringify({ n }) });
        }
      });
    }
    await store.close();
    const to = database.url('killed');
    const secret = secretIn(path);
    const script = `exec "${process.execPath}" "${MOLTEN}" migrate --from ./data --to '${to}' --to-password-file '${secret}' --json`;
    using killed = run(script, path, (text) => {
      if (text.includes('copying: ')) killed.kill();
    });
    expect((await killed.ended).code).toBe(-1);
    const start = refusedStart({
      args: ['--storage-url', to, '--db-path', join(path, 'node'), '--port', '0'],
      variables: {
        MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
        MOLTENDB_ROOT_PASSWORD: PASSWORD,
        MOLTENDB_STORAGE_PASSWORD: database.password,
      },
    });
    expect((await start).stderr).toContain(
      "the tables in schema 'killed' are not loaded to the end",
    );
    const early = await run(script, path).ended;
    expect(early.code, early.stdout).toBe(8);
    expect(JSON.parse(early.stdout)).toMatchObject({ error: { reason: 'ENGINE_UNAVAILABLE' } });
    // Half a minute later.
    await database.run('killed', 'UPDATE load SET seen_at = 0');
    const again = await run(script, path).ended;
    expect(again.code, again.stderr).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({
      collections: [{ name: 'c', documents: 20_000 }],
    });
    expect(await database.run('killed', 'SELECT version FROM format')).not.toEqual([
      { version: 0 },
    ]);
  }, 240_000);
});
