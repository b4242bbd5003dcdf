import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import { logOf } from '../contract/support.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const WRITER = fileURLToPath(new URL('storage-writer.ts', import.meta.url));
const KILLS = 6;
const COMMITS_BEFORE_KILL = [1, 40, 300];

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
  ])('loses nothing it acknowledged and breaks no commit apart, %s', async (_, password) => {
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
    expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, at) => BigInt(at + 1)));
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
  });
});
