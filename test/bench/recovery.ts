/**
 * Snapshots beside writes, recovery, verification and a cold start, of MOLTEN_DOCUMENTS documents (default
 * 100,000) of 350 bytes and as many later entries of the log. All in this process, encrypted. At the end a
 * server in a process of its own, with as many documents, takes a snapshot under 70 % of the load that it was
 * measured to do, for `MOLTEN_SECONDS` (10).
 */
import { join } from 'node:path';

import { OperationState } from '../../gen/molten/v1/operations_pb.ts';
import { recover, verify } from '../../src/server/recovery.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { startLoaded } from './mixed-load.ts';
import { runLoad, type LoadResult } from './open-load.ts';

const DOCUMENTS = Number(process.env['MOLTEN_DOCUMENTS'] ?? 100_000);
const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 10);
const NORMAL = 0.7;
const CONNECTIONS = 500;
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
const [first] = await timed('the first read', () => engine.get('bench', ['k1']));
if (first?.body !== body) throw new Error(`the first read gave ${String(first?.body)}`);
await engine.close();
const out = join(directory.path, 'out');
const target = { kind: 'sequence', sequence: Number(sequence) } as const;
await timed('recovery to before the second half, verified', () =>
  recover({ source: store, out, archive: undefined, password, target }),
);
await timed('verification of the store', () => verify(store, { password, store: undefined }));
/** Load at 70 % of what the server can do, without a snapshot and with one. */
async function measureSnapshotUnderLoad(): Promise<{
  readonly peak: LoadResult;
  readonly alone: LoadResult;
  readonly during: LoadResult;
  readonly snapshotMs: number;
}> {
  await using server = await startLoaded(DOCUMENTS);
  const { port, request, client } = server;
  await runLoad({ port, request, seconds: Math.min(3, SECONDS), connections: 64 });
  const peak = await runLoad({ port, request, seconds: SECONDS, connections: 64 });
  const load = (): Promise<LoadResult> =>
    runLoad({
      ...{ port, request, seconds: SECONDS, connections: CONNECTIONS },
      rate: peak.goodPerSecond * NORMAL,
    });
  const alone = await load();
  const running = load();
  const startMs = performance.now();
  const { operation } = await client.snapshots.createSnapshot({});
  const id = operation?.id ?? '';
  const { operation: ended } = await client.operations.waitOperation(
    { operation: id },
    { timeoutMs: 0 },
  );
  if (ended?.state !== OperationState.SUCCEEDED) throw new Error('the snapshot failed');
  const snapshotMs = Math.round(performance.now() - startMs);
  return { peak, alone, during: await running, snapshotMs };
}

const underLoad = await measureSnapshotUnderLoad();
process.stderr.write(
  `at 70 % of ${String(underLoad.peak.goodPerSecond)}/s: p99 ${String(underLoad.alone.p99Ms)} ms alone, ${String(underLoad.during.p99Ms)} ms while a snapshot is taken (${String(underLoad.snapshotMs)} ms)\n`,
);
process.stdout.write(
  `${JSON.stringify({ bench: 'recovery', documents: DOCUMENTS, results, underLoad })}\n`,
);
