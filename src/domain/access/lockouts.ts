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
const NONE: Failures = { count: 0, lastMs: 0, untilMs: 0 };

/** Opens the failures of a store. */
export function createLockouts(engine: StorageEngine, clock: Clock): Lockouts {
  const known = new LRUCache<string, Failures>({ max: REMEMBERED_MAX });

  // What fails at another node counts here as well.
  engine.follow(COLLECTION, {
    told({ key, body }) {
      if (body === undefined) {
        known.delete(key);
        return;
      }
      const failures = JSON.parse(body) as Failures;
      if (!isOlder(failures, known.get(key) ?? NONE)) known.set(key, failures);
    },
    missed() {
      // What is not known is read.
      known.clear();
      return Promise.resolve();
    },
  });

  async function find(key: string): Promise<Failures> {
    const [document] = known.has(key) ? [] : await engine.get(COLLECTION, [key]);
    const failures = known.get(key) ?? (document && (JSON.parse(document.body) as Failures));
    if (failures === undefined || failures.lastMs + FADE_MS <= clock.now()) return NONE;
    return failures;
  }

  async function add(key: string, rule: Rule): Promise<void> {
    // Before anything else is awaited, so that attempts side by side are all counted.
    const nowMs = clock.now();
    const before = known.get(key) ?? (await find(key));
    const { count } = known.get(key) ?? before;
    const failures = { count: count + 1, lastMs: nowMs, untilMs: nowMs + waitOf(count + 1, rule) };
    known.set(key, failures);
    await engine.transact({ durability: 'async' }, (transaction) => {
      const body = JSON.stringify(failures);
      transaction.put({ collection: COLLECTION, key, body, expiresAtMs: nowMs + FADE_MS });
    });
  }

  async function forget(key: string): Promise<void> {
    const isKnown = (await find(key)).count > 0;
    known.set(key, NONE);
    if (!isKnown) return;
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
        add(accountKey(username), ACCOUNT),
        // Nowhere is a place that all share, who would wait for one another.
        address === '' ? undefined : add(addressKey(address), ADDRESS),
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

/** Of one moment the fewer were before. */
function isOlder(one: Failures, other: Failures): boolean {
  return one.lastMs === other.lastMs ? one.count < other.count : one.lastMs < other.lastMs;
}

function waitOf(count: number, { freeFailures, firstMs, longestMs }: Rule): number {
  if (count < freeFailures) return 0;
  return Math.min(firstMs * 2 ** Math.min(count - freeFailures, 30), longestMs);
}

function accountKey(username: string): string {
  return `account.${hashOf(foldName(username), 'base64url')}`;
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
