/**
 * Point reads that are in memory and that are not, in either storage mode, with ten times the data that
 * memory is given. Ratios to a read that is in memory.
 */
import { setImmediate } from 'node:timers/promises';

import { systemClock } from '../../src/platform/clock.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { measureCalls, report, type Measured } from './measure.ts';

const DOCUMENTS = Number(process.env['MOLTEN_DOCUMENTS'] ?? 100_000);
const BATCH = 1000;
/** How many of them memory has room for. */
const HOT = DOCUMENTS / 10;
/** One document as memory counts it: two bytes a character, and 512. */
const BODY = { text: 'molten '.repeat(50) };
const COUNTED_BYTES = 512 + 2 * (JSON.stringify(BODY).length + 8);
const TURN_READS = 256;
const PASSWORD = 'an encryption key for benchmarks';
const MODES = {
  standard: { cacheBytes: HOT * COUNTED_BYTES },
  tiered: { cacheBytes: DOCUMENTS * COUNTED_BYTES, cacheDocuments: HOT },
} as const;

using directory = createTemporaryDirectory();
const store = { directory: directory.path, clock: systemClock, password: PASSWORD };

const keyOf = (n: number): string => `k${String(n).padStart(7, '0')}`;

async function fill(): Promise<void> {
  await using engine = await openEmbeddedStore(store);
  for (let first = 0; first < DOCUMENTS; first += BATCH) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let n = first; n < first + BATCH; n++) {
        transaction.put({ collection: 'things', key: keyOf(n), body: JSON.stringify(BODY) });
      }
    });
  }
}

/** Some keys over and over, or all in turn, so that each is gone from memory when it comes again. */
async function measure(name: string, engine: StorageEngine, keys: number): Promise<Measured> {
  let next = 0;
  const read = async (): Promise<void> => {
    next = (next + 1) % keys;
    // The engine hears of its writer only between turns, and keeps nothing in memory until then.
    if (next % TURN_READS === 0) await setImmediate();
    const [found] = await engine.get('things', [keyOf(next)]);
    if (found === undefined) throw new Error('a document is missing');
  };
  for (let n = 0; n < keys; n++) await read();
  const before = engine.figures();
  const measured = await measureCalls(name, read, { clients: 1 });
  const { cacheHits, cacheMisses, cachedBytes, cachedBytesMax } = engine.figures();
  const [hits, misses] = [cacheHits - before.cacheHits, cacheMisses - before.cacheMisses];
  const share = Math.round((100 * hits) / (hits + misses));
  const memory = `${String(Math.round(cachedBytes / 1024))} of ${String(Math.round(cachedBytesMax / 1024))} KiB`;
  process.stderr.write(`${name}: ${String(share)} % in memory, which holds ${memory}\n`);
  return measured;
}

await fill();
const results: Measured[] = [];
for (const [mode, bounds] of Object.entries(MODES)) {
  await using engine = await openEmbeddedStore({ ...store, ...bounds });
  results.push(await measure(`${mode}, hot`, engine, HOT / 2));
  results.push(await measure(`${mode}, cold`, engine, DOCUMENTS));
}
report('tiers', 'standard, hot', results);
