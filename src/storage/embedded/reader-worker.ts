import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { systemClock } from '../../platform/clock.ts';
import { openConnection } from './database.ts';
import type { ReadMessage, ReadReply, ReadResults, StoreAccess } from './protocol.ts';
import { createReader, type ReadControl } from './reader.ts';
import { toRefusal } from './refusal.ts';

/** What a reader thread is started with. */
export interface ReaderSettings extends StoreAccess {
  /** One slot: the id of the task that shall stop. */
  readonly aborted: SharedArrayBuffer;
}

const port = parentPort;
invariant(port !== null, 'a reader runs in a worker thread');
// Set by reader-pool.ts, the only place that starts this file.
const settings = workerData as ReaderSettings;
const aborted = new Int32Array(settings.aborted);
const reader = createReader(openConnection({ ...settings, access: 'read' }));

port.on('message', (message: ReadMessage) => {
  port.postMessage(answer(message));
});

function answer(message: ReadMessage): ReadReply {
  const { id } = message;
  try {
    return { id, result: read(message), refusal: undefined };
  } catch (error) {
    return { id, result: undefined, refusal: toRefusal(error) };
  }
}

function read({ id, task, nowMs, atSequence }: ReadMessage): ReadResults[keyof ReadResults] {
  const control: ReadControl = {
    ...{ nowMs, atSequence },
    isAborted: () => Atomics.load(aborted, 0) === id,
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
