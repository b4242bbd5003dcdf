/**
 * A reader thread that sleeps instead of reading: `limit` of an `expired` task is for how long, in
 * milliseconds, and one of 666 kills it. With `isBroken` it does not start.
 */
import { parentPort, workerData } from 'node:worker_threads';

import type { ReadMessage } from '../../src/storage/embedded/protocol.ts';
import { openClaims } from '../../src/storage/embedded/read-claims.ts';
import type { ReaderSettings } from '../../src/storage/embedded/reader-worker.ts';

/** Whoever is asked for this dies. */
const DEADLY = 666;
const settings = workerData as ReaderSettings & { readonly isBroken?: boolean };
if (settings.isBroken === true) throw new Error('it does not start');
const claims = openClaims(settings.claims);
const passed = new Int32Array(settings.passed);
Atomics.add(passed, 0, 1);
const never = new Int32Array(new SharedArrayBuffer(4));

parentPort?.on('message', (messages: readonly ReadMessage[]) => {
  for (const message of messages) work(message);
});

function work(message: ReadMessage): void {
  if (claims.take(message, settings.thread)) {
    const ms = message.task.kind === 'expired' ? message.task.limit : 0;
    if (ms === DEADLY) throw new Error('it dies');
    for (let slept = 0; slept < ms && !claims.isWithdrawn(message); slept++) {
      Atomics.wait(never, 0, 0, 1);
    }
    parentPort?.postMessage({ id: message.id, result: settings.thread, refusal: undefined });
  }
  Atomics.add(passed, 0, 1);
}
