/**
 * Snapshots beside writes, recovery, verification and a cold start, of MOLTEN_DOCUMENTS documents (default
 * 100,000) of 350 bytes and as many later entries of the log. All in this process, encrypted.
 */
import { join } from 'node:path';

import { recover, verify } from '../../src/server/recovery.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const DOCUMENTS = Number(process.env['MOLTEN_DOCUMENTS'] ?? 100_000);
const BATCH = 1000;
const password = 'an encryption key for benchmarks';
const body = JSON.stringify({ n: 5, name: 'a document', text: 'x'.repeat(300) });
const results: Record<string, number> = {};

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const start = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(start);
  const ms = Math.round(performance.now() - startMs);
  // On a busy machine this is what can be compared.
  const processorMs = Math.round((user + system) / 1000);
  results[name] = ms;
  results[`${name}, processor`] = processorMs;
  process.stderr.write(
    `${name.padEnd(44)} ${String(ms)} ms, ${String(processorMs)} of them busy\n`,
  );
  return value;
}

async function fill(engine: StorageEngine): Promise<void> {
  for (let at = 0; at < DOCUMENTS; at += BATCH) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let n = at; n < at + BATCH; n++) {
        transaction.put({ collection: 'bench', key: `k${String(n)}`, body });
      }
    });
  }
}

/** One write after the other until told to stop; the 99th percentile of their times. */
async function writeP99(engine: StorageEngine, isOver: () => boolean): Promise<number> {
  const latencies: number[] = [];
  for (let n = 0; !isOver(); n++) {
    const startMs = performance.now();
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.put({ collection: 'load', key: `k${String(n % 1000)}`, body });
    });
    latencies.push(performance.now() - startMs);
  }
  latencies.sort((a, b) => a - b);
  return Math.round((latencies[Math.floor(latencies.length * 0.99)] ?? 0) * 100) / 100;
}

using directory = createTemporaryDirectory();
const store = join(directory.path, 'store');
const open = (): Promise<StorageEngine> =>
  openEmbeddedStore({ directory: store, clock: systemClock, password });
let engine = await open();
await timed('writing the documents', () => fill(engine));
const { sequence } = await engine.head();
await timed('writing them again', () => fill(engine));

const untilMs = performance.now() + 3000;
results['write p99 alone, ms'] = await writeP99(engine, () => performance.now() > untilMs);
let isTaken = false;
const writing = writeP99(engine, () => isTaken);
await timed('a snapshot while one writer writes', () => engine.copy(join(directory.path, 'copy')));
isTaken = true;
results['write p99 during the snapshot, ms'] = await writing;
await engine.close();

engine = await timed('a cold start', open);
await timed('the first read', () => engine.get('bench', ['k1']));
await engine.close();
const out = join(directory.path, 'out');
const target = { kind: 'sequence', sequence: Number(sequence) } as const;
await timed('recovery to before the second half, verified', () =>
  recover({ source: store, out, archive: undefined, password, target }),
);
await timed('verification of the store', () => verify(store, { password, store: undefined }));
process.stdout.write(`${JSON.stringify({ bench: 'recovery', documents: DOCUMENTS, results })}\n`);
