/**
 * Writes for ever and says what was acknowledged: one line per commit on standard output. Started by a
 * test that kills it without warning.
 */
import { writeSync } from 'node:fs';

import { DomainError } from '../../src/errors/domain-error.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { delay } from '../../src/platform/timers.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';

const [directory = '', password = '', mode] = process.argv.slice(2);
const WRITERS = 64;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** One line, whole; waits while the reader is slower than all the writers. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
const engine = await openEmbeddedStore({
  ...{ directory, clock: systemClock, password: password === '' ? undefined : password },
});
const start = (await engine.head()).sequence;

async function write(client: number): Promise<void> {
  for (let at = 0; ; at++) {
    const key = `${start.toString()}-${client.toString()}-${at.toString()}`;
    const durability = client % 2 === 0 ? 'sync' : 'async';
    const { sequence } = await engine.transact({ durability }, (transaction) => {
      transaction.put({ collection: 'things', key, body: JSON.stringify({ client, at }) });
      transaction.put({ collection: 'twins', key, body: JSON.stringify({ client, at }) });
    });
    say(`${key} ${sequence.toString()}\n`);
  }
}

/** A refusal is told by its reason, on a line of its own; a second one ends a writer. */
async function run(client: number): Promise<void> {
  for (let refusals = 0; refusals < 2; refusals++) {
    try {
      await write(client);
    } catch (error) {
      const reason = error instanceof DomainError ? error.reason : String(error);
      say(`refused ${reason}\n`);
    }
  }
}

/** Compacts to what was just written, again and again; says the floor that was reached. */
async function compact(): Promise<void> {
  for (;;) {
    const { sequence } = await engine.head();
    say(`floor ${String(await engine.compact(sequence))}\n`);
    await delay(5);
  }
}

if (mode === 'compact') void compact();
await Promise.all(Array.from({ length: WRITERS }, (_, client) => run(client)));
