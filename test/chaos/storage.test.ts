import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import { logOf, put, reasonOf } from '../contract/support.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const WRITER = fileURLToPath(new URL('storage-writer.ts', import.meta.url));
/** More in a long run: MOLTEN_KILLS=500. */
const KILLS = Number(process.env['MOLTEN_KILLS'] ?? 6);
const COMMITS_BEFORE_KILL = [1, 40, 300];
/** A long run reads a long log at its end: a safety net, never a measurement. */
const KILLS_MS = 60_000 + KILLS * 10_000;

/** Starts a writer, kills it after some commits, and returns what it had acknowledged. */
async function writeUntilKilled(
  args: readonly string[],
  commits: number,
): Promise<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged: string[] = [];
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line);
    if (acknowledged.length === commits) child.kill('SIGKILL');
  }
  await exited;
  // The last line may have been cut in the middle; the kernel keeps whole writes of this size.
  return acknowledged.filter((line) => /^\S+ \d+$/.test(line));
}

describe('a process killed while it writes', () => {
  it.each([
    ['cleartext', []],
    ['encrypted', ['correct horse battery staple']],
  ])(
    'loses nothing it acknowledged and breaks no commit apart, %s (14370)',
    async (_, password) => {
      using directory = createTemporaryDirectory();
      const acknowledged = new Map<string, string>();
      for (let kill = 0; kill < KILLS; kill++) {
        const commits = COMMITS_BEFORE_KILL[kill % COMMITS_BEFORE_KILL.length] ?? 1;
        for (const line of await writeUntilKilled([directory.path, ...password], commits)) {
          const [key = '', sequence = ''] = line.split(' ');
          acknowledged.set(key, sequence);
        }
      }
      await using engine = await openEmbeddedStore({
        ...{ directory: directory.path, clock: systemClock, password: password[0] },
      });
      const entries = await logOf(engine);
      expect(entries.map(({ sequence }) => sequence)).toEqual(
        entries.map((_, at) => BigInt(at + 1)),
      );
      const puts = entries.filter(({ kind }) => kind === 'put');
      const things = puts.filter(({ collection }) => collection === 'things');
      const twins = puts.filter(({ collection }) => collection === 'twins');
      expect(twins.map(({ key, commit }) => [key, commit])).toEqual(
        things.map(({ key, commit }) => [key, commit]),
      );
      const stored = new Map(twins.map(({ key, sequence }) => [key, sequence.toString()]));
      expect(acknowledged.size).toBeGreaterThan(KILLS * 50);
      for (const [key, sequence] of acknowledged) expect(stored.get(key)).toBe(sequence);
      expect(await engine.findCollection('things')).toMatchObject({ documents: things.length });
    },
    KILLS_MS,
  );
});

describe('a process killed while it compacts', () => {
  it(
    'neither goes back in the log nor loses what is current (17780)',
    async () => {
      using directory = createTemporaryDirectory();
      let [last, floor] = [0n, 0n];
      for (let kill = 0; kill < KILLS; kill++) {
        const commits = COMMITS_BEFORE_KILL[kill % COMMITS_BEFORE_KILL.length] ?? 1;
        const said = await writeUntilKilled([directory.path, '', 'compact'], 200 + commits);
        const floors = said.filter((line) => line.startsWith('floor'));
        const acknowledged = said.filter((line) => !line.startsWith('floor'));
        expect(floors.length).toBeGreaterThan(0);
        await using engine = await openEmbeddedStore({
          ...{ directory: directory.path, clock: systemClock },
        });
        const head = await engine.head();
        const numbers = (lines: readonly string[]): readonly bigint[] =>
          lines.map((line) => BigInt(line.split(' ')[1] ?? 0));
        for (const one of [last, ...numbers(acknowledged)]) {
          expect(head.sequence).toBeGreaterThanOrEqual(one);
        }
        for (const one of [floor, ...numbers(floors)])
          expect(head.oldest).toBeGreaterThanOrEqual(one);
        const keys = acknowledged.map((line) => line.split(' ')[0] ?? '');
        const current = await engine.get('twins', keys);
        expect(current.map((document) => document?.key)).toEqual(keys);
        const { sequence } = await put(engine, 'next', {});
        expect(sequence).toBe(head.sequence + 1n);
        [last, floor] = [sequence, head.oldest];
      }
    },
    KILLS_MS,
  );
});

/** Runs a writer whose files may not grow beyond a bound, so that writing fails with EFBIG, until it gives up. */
async function writeUntilFull(directory: string, kilobytes: number): Promise<readonly string[]> {
  const script = `trap '' XFSZ; ulimit -f ${String(kilobytes)}; exec "$0" "$@"`;
  const child = spawn('bash', ['-c', script, process.execPath, WRITER, directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.filter((one) => one.startsWith('refused')).length >= 100) child.kill('SIGKILL');
  }
  return lines;
}

describe('a disk that fails', () => {
  it('stops all writing at once, loses nothing that was acknowledged, and serves again after a restart', async () => {
    using directory = createTemporaryDirectory();
    const lines = await writeUntilFull(directory.path, 3000);
    const refusals = lines.filter((line) => line.startsWith('refused'));
    expect(refusals.length).toBeGreaterThan(0);
    // The commits under way have failed; every later one is refused.
    for (const line of refusals) expect(line).toMatch(/^refused (ENGINE_UNAVAILABLE|READ_ONLY)$/);
    expect(refusals.at(-1)).toBe('refused READ_ONLY');
    await using engine = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
    const stored = new Set((await logOf(engine)).map(({ key }) => key));
    const acknowledged = lines.filter((line) => /^\S+ \d+$/.test(line));
    expect(acknowledged.length).toBeGreaterThan(100);
    for (const line of acknowledged) expect(stored.has(line.split(' ')[0] ?? '')).toBe(true);
    expect(await reasonOf(put(engine, 'room', {}))).toBeUndefined();
  }, 60_000);
});

describe('a write-ahead log that was torn', () => {
  it('is cut at the last whole commit, wherever it was cut or damaged', async () => {
    using directory = createTemporaryDirectory();
    const password = 'correct horse battery staple';
    await writeUntilKilled([directory.path, password], 200);
    const wal = join(directory.path, 'moltendb.sqlite-wal');
    const whole = readFileSync(wal);
    const database = readFileSync(join(directory.path, 'moltendb.sqlite'));
    const complete = await entriesIn(directory.path, password);
    expect(whole.length).toBeGreaterThan(10_000);
    for (let step = 0; step < 12; step++) {
      const at = Math.floor((whole.length * step) / 12) + 17;
      const cut = step % 2 === 0 ? whole.subarray(0, at) : damaged(whole, at);
      writeFileSync(join(directory.path, 'moltendb.sqlite'), database);
      rmSync(`${wal.slice(0, -4)}-shm`, { force: true });
      writeFileSync(wal, cut);
      const left = await entriesIn(directory.path, password);
      // A prefix of what there was, in whole commits.
      expect(left).toEqual(complete.slice(0, left.length));
      const next = complete[left.length];
      if (next !== undefined) expect(next.split(' ')[2]).toBe(next.split(' ')[0]);
    }
  }, 60_000);
});

function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 0x10, at);
  return copy;
}

/** Every entry as its sequence, its key and its commit. */
async function entriesIn(directory: string, password: string): Promise<readonly string[]> {
  await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
  const entries = await logOf(engine);
  return entries.map(({ sequence, key, commit }) => `${String(sequence)} ${key} ${String(commit)}`);
}
