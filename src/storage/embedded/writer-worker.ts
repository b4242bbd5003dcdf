import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { after, every, soon } from '../../platform/timers.ts';
import { openConnection } from './database.ts';
import type { StoreAccess, WriterMessage, WriterReply, WriterTask } from './protocol.ts';
import { createWriter } from './writer.ts';

/** What the writer thread is started with. */
export interface WriterSettings extends StoreAccess {
  /** One counter of commits begun, shared with the main thread. */
  readonly commits: SharedArrayBuffer;
  /** Milliseconds after which an asynchronous commit is flushed at the latest. */
  readonly flushIntervalMs: number;
}

/** How often remembered request ids are looked through for old ones. */
const HOUSEKEEPING_MS = 600_000;

const port = parentPort;
invariant(port !== null, 'the writer runs in a worker thread');
// Set by writer-thread.ts, the only place that starts this file.
const settings = workerData as WriterSettings;
const database = openConnection({ ...settings, access: 'write' });
const writer = createWriter(database, new Int32Array(settings.commits));
let isClosed = false;
let isWorking = false;
let hasFlushTimer = false;
const stopHousekeeping = every(HOUSEKEEPING_MS, scheduleWork);

port.on('message', (message: WriterMessage) => {
  const result = writer.run(message.task, message.nowMs);
  reply({ id: message.id, result, state: writer.takeState() });
  if (message.task.kind === 'close') {
    close();
    return;
  }
  scheduleFlush();
  if (makesWork(message.task)) scheduleWork();
});

/** Only these leave something to build, to clear away, to trim or to prune. */
function makesWork(task: WriterTask): boolean {
  if (task.kind !== 'commit') return task.kind !== 'flush' && task.kind !== 'close';
  return task.commits.some(({ operations }) =>
    operations.some(({ kind }) => kind !== 'put' && kind !== 'delete' && kind !== 'require'),
  );
}

function reply(message: WriterReply): void {
  port?.postMessage(message);
}

function tell(): void {
  reply({ id: 0, result: { kind: 'done' }, state: writer.takeState() });
}

/** Commits that are not waited for reach the disk soon after all the same. */
function scheduleFlush(): void {
  if (hasFlushTimer) return;
  hasFlushTimer = true;
  after(settings.flushIntervalMs, () => {
    hasFlushTimer = false;
    if (isClosed) return;
    if (attempt(() => writer.flush())) tell();
  });
}

/** One slice at a time, so that commits that wait come first. */
function scheduleWork(): void {
  if (isWorking || isClosed) return;
  isWorking = true;
  soon(() => {
    isWorking = false;
    if (isClosed) return;
    const hasMore = attempt(() => writer.work());
    tell();
    if (hasMore) scheduleWork();
  });
}

/** Background work that fails has set the fault of the writer; the next reply tells. */
function attempt(work: () => boolean): boolean {
  try {
    return work();
  } catch {
    tell();
    return false;
  }
}

function close(): void {
  isClosed = true;
  stopHousekeeping();
  database.close();
  port?.close();
}

scheduleWork();
