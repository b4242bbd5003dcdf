import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { systemClock } from '../../platform/clock.ts';
import { openConnection } from './database.ts';
import type { ReadMessage, ReadReply, ReadResults, StoreAccess } from './protocol.ts';
import { openClaims } from './read-claims.ts';
import { createReader, type ReadControl } from './reader.ts';
import { toRefusal } from './refusal.ts';

/** What a reader thread is started with. */
export interface ReaderSettings extends StoreAccess {
  /** Which thread does which task; see `read-claims.ts`. */
  readonly claims: SharedArrayBuffer;
  /** The number of this thread, from 1 on. */
  readonly thread: number;
  /** One number: how many messages it has done with, its start among them. */
  readonly passed: SharedArrayBuffer;
}

const port = parentPort;
invariant(port !== null, 'a reader runs in a worker thread');
// Set by reader-pool.ts, the only place that starts this file.
const settings = workerData as ReaderSettings;
const claims = openClaims(settings.claims);
const passed = new Int32Array(settings.passed);
const reader = createReader(openConnection({ ...settings, access: 'read' }));
// It has started.
Atomics.add(passed, 0, 1);

port.on('message', (messages: readonly ReadMessage[]) => {
  for (const message of messages) {
    // Some tasks are given to every thread, for the first that has time.
    if (claims.take(message, settings.thread)) port.postMessage(answer(message));
    Atomics.add(passed, 0, 1);
  }
});

function answer(message: ReadMessage): ReadReply {
  const { id } = message;
  try {
    return { id, result: read(message), refusal: undefined };
  } catch (error) {
    return { id, result: undefined, refusal: toRefusal(error) };
  }
}

function read(message: ReadMessage): ReadResults[keyof ReadResults] {
  const { task, nowMs, atSequence } = message;
  const control: ReadControl = {
    ...{ nowMs, atSequence },
    isAborted: () => claims.isWithdrawn(message),
    monotonic: () => systemClock.monotonic(),
  };
  switch (task.kind) {
    case 'get':
      return reader.get(task.collection, task.keys, control);
    case 'query':
      return reader.query(task.query, control);
    case 'explain':
      return reader.explain(task.query, control);
    case 'aggregate':
      return reader.aggregate(task.aggregation, control);
    case 'log':
      return reader.readLog(task.request) ?? [];
    case 'collections':
      return reader.collections(atSequence ?? 0);
    case 'sequenceAt':
      return reader.sequenceAt(task.timestampMs);
    case 'expired':
      return reader.expired(task.limit, nowMs);
  }
}
