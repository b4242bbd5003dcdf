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
import { BODY, DOCUMENTS, fill, PASSWORD, results, timed, writeP99 } from './big-store.ts';
import { startLoaded } from './mixed-load.ts';
import { runLoad, type LoadResult } from './open-load.ts';

const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 10);
const NORMAL = 0.7;
const CONNECTIONS = 500;

using directory = createTemporaryDirectory();
const store = join(directory.path, 'store');
const open = (): Promise<StorageEngine> =>
  openEmbeddedStore({ directory: store, clock: systemClock, password: PASSWORD });
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
if (first?.body !== BODY) throw new Error(`the first read gave ${String(first?.body)}`);
await engine.close();
const out = join(directory.path, 'out');
const target = { kind: 'sequence', sequence: Number(sequence) } as const;
await timed('recovery to before the second half, verified', () =>
  recover({ source: store, out, archive: undefined, password: PASSWORD, target }),
);
await timed('verification of the store', () =>
  verify(store, { password: PASSWORD, store: undefined }),
);
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
