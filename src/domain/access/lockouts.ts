import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf } from '../../platform/secrets.ts';
import type { StorageEngine } from '../../storage/engine.ts';

/**
 * Slows guessing down: after a few failures an account, and after more an address, must wait, each time
 * twice as long. It is the same for names that nobody has, so that nothing can be learned from it.
 */
export interface Lockouts {
  /** RATE_LIMITED, with the time to wait, for an account or an address that must. */
  check(attempt: Attempt): Promise<void>;
  /** Counts a failure. */
  fail(attempt: Attempt): Promise<void>;
  /** Forgets the failures of the account; those of the address fade by themselves. */
  succeed(attempt: Attempt): Promise<void>;
  /** Forgets the failures of an account, by an administrator. */
  unlock(username: string): Promise<void>;
  /** Until when an account must wait; 0: it must not. */
  waitsUntil(username: string): Promise<number>;
}

/** Somebody tries to sign in. */
export interface Attempt {
  readonly username: string;
  /** Empty: it is by somebody who has signed in, and counts for the account alone. */
  readonly address: string;
}

interface Failures {
  readonly count: number;
  readonly lastMs: number;
  readonly untilMs: number;
}

/** When and how long to wait. */
interface Rule {
  readonly freeFailures: number;
  readonly firstMs: number;
  readonly longestMs: number;
}

const COLLECTION = '$lockouts';
const ACCOUNT: Rule = { freeFailures: 5, firstMs: 15_000, longestMs: 3_600_000 };
const ADDRESS: Rule = { freeFailures: 30, firstMs: 15_000, longestMs: 3_600_000 };
/** Failures are forgotten after this long without another one. */
const FADE_MS = 24 * 3_600_000;
const REMEMBERED_MAX = 100_000;
const ACCOUNT_PREFIX = 'account.';
const NONE: Failures = { count: 0, lastMs: 0, untilMs: 0 };

/** Opens the failures of a store. */
export function createLockouts(engine: StorageEngine, clock: Clock): Lockouts {
  const known = createKnownFailures(clock);

  // What fails at another node counts here as well.
  engine.follow(COLLECTION, {
    told({ key, body }) {
      if (body === undefined) known.drop(key);
      else known.raise(key, (JSON.parse(body) as Failures).count);
    },
    missed() {
      // What is not known is read.
      known.clear();
      return Promise.resolve();
    },
  });

  async function read(key: string): Promise<Failures> {
    const [document] = await engine.get(COLLECTION, [key]);
    if (document === undefined) return NONE;
    const stored = fade(JSON.parse(document.body) as Failures, clock.now());
    const isAhead = stored.untilMs > failuresOf(key, stored.count, clock.now()).untilMs;
    // By the clock of another node, which is ahead: nobody waits for longer than if the last one were now.
    return isAhead ? known.raise(key, stored.count) : stored;
  }

  async function find(key: string): Promise<Failures> {
    return known.recall(key) ?? (await read(key));
  }

  async function add(key: string): Promise<void> {
    // At once, so that it counts here whatever becomes of the store. What is not known is read by whoever asks.
    const before = known.recall(key);
    if (before !== undefined) known.raise(key, before.count + 1);
    known.raise(
      key,
      await addToStored({ engine, clock }, key).catch((error: unknown) =>
        countedBesides(key, error),
      ),
    );
  }

  /** Others came first, again and again: what they have counted is enough. */
  async function countedBesides(key: string, error: unknown): Promise<number> {
    if (!(error instanceof DomainError) || error.reason !== 'TRANSACTION_CONFLICT') throw error;
    return (await read(key)).count;
  }

  async function forget(key: string): Promise<void> {
    // Not by what is known here: others may have counted what nobody was told of yet.
    const { count } = await read(key);
    known.forget(key);
    if (count === 0) return;
    await engine.transact({ durability: 'async' }, (transaction) => {
      transaction.delete({ collection: COLLECTION, key });
    });
  }

  return {
    async check({ username, address }) {
      const [account, place] = [await find(accountKey(username)), await find(addressKey(address))];
      const leftMs = Math.max(account.untilMs, place.untilMs) - clock.now();
      if (leftMs > 0) throw mustWait(leftMs);
    },
    async fail({ username, address }) {
      await Promise.all([
        add(accountKey(username)),
        // Nowhere is a place that all share, who would wait for one another.
        address === '' ? undefined : add(addressKey(address)),
      ]);
    },
    async succeed({ username }) {
      await forget(accountKey(username));
    },
    async unlock(username) {
      await forget(accountKey(username));
    },
    async waitsUntil(username) {
      return (await find(accountKey(username))).untilMs;
    },
  };
}

/** One more than all nodes have counted; two that count at once are not one, as the later tries again. */
async function addToStored(
  { engine, clock }: { readonly engine: StorageEngine; readonly clock: Clock },
  key: string,
): Promise<number> {
  const { value } = await engine.transact({ durability: 'async' }, async (transaction) => {
    const [document] = await transaction.get(COLLECTION, [key]);
    const stored = document && fade(JSON.parse(document.body) as Failures, clock.now());
    const failures = failuresOf(key, (stored?.count ?? 0) + 1, clock.now());
    const body = JSON.stringify(failures);
    const expiresAtMs = failures.lastMs + FADE_MS;
    transaction.put({ collection: COLLECTION, key, body, expiresAtMs });
    return failures.count;
  });
  return value;
}

/** The failures that a node knows of. */
interface KnownFailures {
  /** Undefined: what is stored is to be read. */
  recall(key: string): Failures | undefined;
  /**
   * There are as many as this, the last of them now; of fewer than are known nothing changes. So none is forgotten,
   * whether it is told of late, or by a node that had not heard of the others, or whose clock is ahead or behind.
   */
  raise(key: string, count: number): Failures;
  /** There are none. */
  forget(key: string): void;
  /** What is stored is to be read. */
  drop(key: string): void;
  clear(): void;
}

function createKnownFailures(clock: Clock): KnownFailures {
  const known = new LRUCache<string, Failures>({ max: REMEMBERED_MAX });
  const recall = (key: string): Failures | undefined => {
    const failures = known.get(key);
    return failures && fade(failures, clock.now());
  };
  return {
    recall,
    raise(key, count) {
      const before = recall(key) ?? NONE;
      if (count <= before.count) return before;
      const failures = failuresOf(key, count, clock.now());
      known.set(key, failures);
      return failures;
    },
    forget(key) {
      known.set(key, NONE);
    },
    drop(key) {
      known.delete(key);
    },
    clear() {
      known.clear();
    },
  };
}

/** So many, the last of them now. */
function failuresOf(key: string, count: number, nowMs: number): Failures {
  const rule = key.startsWith(ACCOUNT_PREFIX) ? ACCOUNT : ADDRESS;
  return { count, lastMs: nowMs, untilMs: nowMs + waitOf(count, rule) };
}

function fade(failures: Failures, nowMs: number): Failures {
  return failures.lastMs + FADE_MS <= nowMs ? NONE : failures;
}

function waitOf(count: number, { freeFailures, firstMs, longestMs }: Rule): number {
  if (count < freeFailures) return 0;
  return Math.min(firstMs * 2 ** Math.min(count - freeFailures, 30), longestMs);
}

function accountKey(username: string): string {
  return `${ACCOUNT_PREFIX}${hashOf(foldName(username), 'base64url')}`;
}

/** Names that a directory may take for one another are one here. */
export function foldName(username: string): string {
  return username.normalize('NFKC').trim().toLowerCase();
}

function addressKey(address: string): string {
  return `address.${hashOf(address, 'base64url')}`;
}

function mustWait(retryAfterMs: number): DomainError {
  const seconds = String(Math.ceil(retryAfterMs / 1000));
  return new DomainError(
    'RATE_LIMITED',
    `too many failed logins for this name or from this address; wait ${seconds} s`,
    { retryAfterMs },
  );
}
