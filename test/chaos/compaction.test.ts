/**
 * The log is compacted at random while watches leave and resume at random and writers write. Every
 * sequence is a change that they watch, so that a gap or a duplicate shows in the numbers alone: a watch
 * goes on at the very next one, or it is refused because the log truly no longer reaches back, and told
 * where it begins. The seed is printed; MOLTEN_SEED replays the same choices.
 */
import { describe, expect, it } from 'vitest';

import type { Principal } from '../../src/domain/access/principal.ts';
import { createScopeSet } from '../../src/domain/access/scope-set.ts';
import type { WatchEvent, WatchRequest, WatchStart } from '../../src/domain/watch/model.ts';
import { openResumeToken } from '../../src/domain/watch/resume-token.ts';
import { createWatches, type Watches } from '../../src/domain/watch/watches.ts';
import { DomainError } from '../../src/errors/domain-error.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { delay } from '../../src/platform/timers.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { toSequence } from '../../src/storage/types.ts';
import { put, remove } from '../contract/support.ts';
import { createRandom, printedSeed, type Random } from '../support/random.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const READERS = 4;
const WRITERS = 3;
/** How often each reader must have met either. */
const OUTCOMES = Number(process.env['MOLTEN_FAULTS'] ?? 8);
const ROOT: Principal = {
  ...{ kind: 'token', subject: 'root', tokenId: 't', expiresAtMs: Infinity },
  scopes: createScopeSet(['*:*:*']),
};

/** Leaves and resumes until it has gone on, and has been refused, often enough. */
class Reader {
  readonly #watches: Watches;
  readonly #random: Random;
  #start: WatchStart;
  /** The last sequence it knows; undefined while an initial state is to tell it. */
  #position: bigint | undefined = 0n;
  readonly violations: string[] = [];
  resumed = 0;
  refused = 0;

  constructor(watches: Watches, random: Random) {
    this.#watches = watches;
    this.#random = random;
    this.#start = { kind: 'after', sequence: toSequence(0n) };
  }

  async run(): Promise<void> {
    while (this.resumed < OUTCOMES || this.refused < OUTCOMES) {
      try {
        await this.#read(1 + this.#random.below(8));
        this.resumed += 1;
      } catch (error) {
        if (!(error instanceof DomainError) || error.reason !== 'SEQUENCE_COMPACTED') throw error;
        this.#takeRefusal(BigInt(error.metadata['oldest'] ?? -1));
      }
      await delay(this.#random.below(15));
    }
  }

  async #read(count: number): Promise<void> {
    const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
    const shape = { targets: [target], fields: [], withPrevious: false, fragment: false };
    const request: WatchRequest = { ...shape, start: this.#start };
    const stop = new AbortController();
    const context = { principal: ROOT, signal: stop.signal, disconnect: () => undefined };
    let left = count;
    for await (const event of this.#watches.open(context, request)) {
      this.#take(event);
      left -= 1;
      // An initial state has no point to resume at before it is complete.
      if (left <= 0 && event.resumeToken !== '') break;
    }
  }

  #take(event: WatchEvent): void {
    if (event.kind === 'current') this.#position = event.sequence;
    if (event.kind === 'commit') {
      for (const { sequence } of event.changes) {
        // The first entry of the log makes the collection, which is no change of a document.
        const expected = this.#position === 0n ? 2n : (this.#position ?? 0n) + 1n;
        if (sequence !== expected) {
          this.violations.push(`${String(sequence)} came instead of ${String(expected)}`);
        }
        this.#position = sequence;
      }
    }
    if (event.resumeToken !== '') {
      this.#start = { kind: 'resume', token: event.resumeToken };
      const at = openResumeToken(event.resumeToken).sequence;
      if (this.#position !== undefined && at < this.#position && event.kind !== 'started') {
        this.violations.push(`the token at ${String(this.#position)} goes back to ${String(at)}`);
      }
    }
  }

  #takeRefusal(oldest: bigint): void {
    this.refused += 1;
    if ((this.#position ?? 0n) >= oldest) {
      const position = String(this.#position);
      this.violations.push(`refused at ${position}, though the oldest is ${String(oldest)}`);
    }
    const isAnew = this.#random.below(2) === 0;
    this.#position = isAnew ? undefined : oldest;
    this.#start = isAnew ? { kind: 'initial' } : { kind: 'after', sequence: toSequence(oldest) };
  }
}

/** Writes, and deletes what may be there, until it is over. */
async function write(engine: StorageEngine, random: Random, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const key = `k${String(random.below(5))}`;
    if (random.below(4) === 0) await remove(engine, key);
    else await put(engine, key, { n: random.below(1000) });
  }
}

async function compact(engine: StorageEngine, random: Random, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await delay(random.below(10));
    const { oldest, sequence } = await engine.head();
    const floor = oldest + BigInt(random.below(Number(sequence - oldest) + 1));
    await engine.compact(toSequence(floor));
  }
}

describe('compaction while watches resume', () => {
  it(
    'leaves them whole, or tells them that the log no longer reaches back',
    async () => {
      const random = createRandom(printedSeed());
      using directory = createTemporaryDirectory();
      await using engine = await openEmbeddedStore({
        directory: directory.path,
        clock: systemClock,
      });
      await using watches = await createWatches({
        ...{ engine, clock: systemClock, lapseOf: () => undefined },
      });
      const over = new AbortController();
      const writers = Array.from({ length: WRITERS }, () => write(engine, random, over.signal));
      const compacting = compact(engine, random, over.signal);
      const readers = Array.from({ length: READERS }, () => new Reader(watches, random));
      await Promise.all(readers.map((reader) => reader.run()));
      over.abort();
      await Promise.all([...writers, compacting]);
      expect(readers.map(({ violations }) => violations)).toEqual(readers.map(() => []));
    },
    60_000 + OUTCOMES * 5000,
  );
});
