/**
 * Watches under faults: connections cut at random, the server killed (SIGKILL) and paused (SIGSTOP) while
 * writers write and watchers watch. What the watchers got must keep the nine properties, however it
 * came. The seed is printed; MOLTEN_SEED replays the same faults and writes.
 */
import { describe, expect, it } from 'vitest';

import { delay } from '../../src/platform/timers.ts';
import { FailingServer, FAULTS, type FaultKind } from '../support/failing-server.ts';
import { createRandom, printedSeed } from '../support/random.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { filterViolations, violationsOf } from '../support/watch-properties.ts';

const WRITERS = 8;
const WATCHERS = 4;
/** What the history must have, however busy the machine is. */
const WRITES_MIN = 100;
const ROUNDS = Math.max(FAULTS.length, Number(process.env['MOLTEN_FAULTS'] ?? 8));

describe('watching a server that fails', () => {
  it(
    'keeps the nine properties, and never goes back after a reconnection (15271)',
    async () => {
      using directory = createTemporaryDirectory();
      await using server = await FailingServer.start({
        directory: directory.path,
        random: createRandom(printedSeed()),
      });
      const watchers = Array.from({ length: WATCHERS }, () => server.follow());
      // Cut off, or so slow that the log moves on under it: the history is the same.
      const raw = server.follow({ isRaw: true });
      const slow = server.follow({ slowMs: 5 });
      const filtered = server.follow({ where: { n: { $gte: 500 } } });
      const writers = Array.from({ length: WRITERS }, () => server.write());
      const faults = new Set<FaultKind>();
      for (let round = 0; round < ROUNDS; round++) faults.add(await server.fault());
      expect([...faults].sort()).toEqual([...FAULTS].sort());
      while (server.acknowledged.length < WRITES_MIN) await delay(20);
      await server.finish(writers);
      const histories = await Promise.all([...watchers, raw, slow].map((one) => one.told()));
      for (const history of histories) {
        expect(violationsOf(history, server.acknowledged)).toEqual([]);
      }
      const part = await filtered.told();
      expect(filterViolations(histories[0] ?? [], part, (n) => n >= 500)).toEqual([]);
    },
    120_000 + ROUNDS * 5000,
  );
});
