/**
 * Opening a store of MOLTEN_DOCUMENTS documents (default 100,000) and scanning all of it: how long each
 * takes, what a point read waits while a scan runs, and the longest the main loop stands still for it.
 */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { field, QUERY } from '../contract/support.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const DOCUMENTS = Number(process.env['MOLTEN_DOCUMENTS'] ?? 100_000);
const BATCH = 1000;
const SCANS = 5;
const OPENS = 5;
const NANOSECONDS_PER_MS = 1e6;

const round = (value: number): number => Math.round(value * 100) / 100;

function median(values: number[]): number {
  return round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN);
}

async function fill(engine: StorageEngine): Promise<void> {
  for (let at = 0; at < DOCUMENTS; at += BATCH) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let n = at; n < at + BATCH; n++) {
        const body = JSON.stringify({ n, name: 'a document', text: 'x'.repeat(300) });
        transaction.put({ collection: 'things', key: `k${String(n)}`, body });
      }
    });
  }
}

/** Point reads, one after the other, until told to stop. */
async function readMeanwhile(engine: StorageEngine, isOver: () => boolean): Promise<number[]> {
  const latencies: number[] = [];
  for (let n = 0; !isOver(); n = (n + 7919) % DOCUMENTS) {
    const startMs = performance.now();
    await engine.get('things', [`k${String(n)}`]);
    latencies.push(performance.now() - startMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return latencies.sort((a, b) => a - b);
}

using directory = createTemporaryDirectory();
const open = (): Promise<StorageEngine> =>
  openEmbeddedStore({ directory: join(directory.path, 'store'), clock: systemClock });
const first = await open();
await fill(first);
await first.close();

const opens: number[] = [];
for (let at = 0; at < OPENS; at++) {
  const startMs = performance.now();
  const engine = await open();
  opens.push(performance.now() - startMs);
  await engine.close();
}

/** The longest the main loop stands still while work goes on beside point reads, and their times. */
async function observed(engine: StorageEngine, work: () => Promise<unknown>): Promise<Observed> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let isOver = false;
  const reading = readMeanwhile(engine, () => isOver);
  delay.enable();
  await work();
  delay.disable();
  isOver = true;
  const latencies = await reading;
  return {
    longestMs: round(delay.max / NANOSECONDS_PER_MS),
    readP99Ms: round(latencies[Math.floor(latencies.length * 0.99)] ?? NaN),
  };
}

interface Observed {
  readonly longestMs: number;
  readonly readP99Ms: number;
}

const engine = await open();
const scans: number[] = [];

/** Nothing has an index, so that every document is examined; none matches. */
async function scan(): Promise<void> {
  const startMs = performance.now();
  const filter = field('name', 'eq', 'another');
  await engine.query({ ...QUERY, filter, limits: { ...QUERY.limits, examinedMax: Infinity } });
  scans.push(performance.now() - startMs);
}

await scan();
const besides = await observed(engine, async () => {
  for (let at = 0; at < SCANS; at++) await scan();
});
const idleMs = median(scans) * SCANS;
const alone = await observed(engine, () => new Promise((resolve) => setTimeout(resolve, idleMs)));
await engine.close();
const results = {
  'open, ms': median(opens),
  'a scan of all, ms': median(scans),
  'documents examined per second': Math.round((DOCUMENTS / median(scans)) * 1000),
  'longest stand of the main loop without scans, ms': alone.longestMs,
  'and while one runs': besides.longestMs,
  'p99 of point reads without scans, ms': alone.readP99Ms,
  'and while one runs, ms': besides.readP99Ms,
};
for (const [name, value] of Object.entries(results)) {
  process.stderr.write(`${name.padEnd(50)} ${String(value)}\n`);
}
process.stdout.write(`${JSON.stringify({ bench: 'scans', documents: DOCUMENTS, results })}\n`);
