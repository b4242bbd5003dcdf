import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { createSlidingWindows } from '../../platform/sliding-windows.ts';
import { subnetOf } from '../../platform/subnet.ts';

/** An address that is refused for a while. */
export interface Ban {
  /** An IPv4 address, or the /64 of an IPv6 one. */
  readonly address: string;
  /** Unix milliseconds. */
  readonly beganAtMs: number;
  readonly endsAtMs: number;
  /** Which one of this address it is: 1 is the first. */
  readonly count: number;
}

/** When addresses are banned, and for how long. */
export interface BanRules {
  /** Refusals in a window after which an address is banned; 0: never. */
  readonly refusals: number;
  readonly windowMs: number;
  /** How long the first time; each further time twice as long, up to a day. */
  readonly firstMs: number;
}

/**
 * Addresses that go on although they are refused. Kept in memory, bounded, and gone when the server
 * restarts: a ban sheds load, it is no permission.
 */
export interface Bans {
  /** The error for an address that is banned; undefined for every other. */
  refusalOf(address: string): DomainError | undefined;
  /** Counts a refusal against an address. */
  strike(address: string): void;
  /** Those that run, the newest first. */
  list(): readonly Ban[];
  /** Ends the bans of these addresses and forgets that they were; those that were banned. */
  clear(addresses: readonly string[]): readonly string[];
  clearAll(): readonly string[];
  /** How many began since the start. */
  readonly begun: number;
}

/** What bans need. */
export interface BanParts {
  readonly clock: Clock;
  readonly rules: () => BanRules;
  /** Addresses that many share, or that an operator works from: never banned. */
  readonly isExempt: (address: string) => boolean;
  /** Told of each ban that begins. */
  readonly onBan: (ban: Ban) => void;
}

/** The longest ban. */
const LONGEST_MS = 24 * 3_600_000;
/** After this long without another one an address starts over. */
const FADE_MS = 24 * 3_600_000;
/** Bans remembered, over or not; the least recently touched are forgotten first. */
export const BANS_MAX = 10_000;
const DOUBLINGS_MAX = 30;

/** Creates them; none is banned. */
export function createBans(parts: BanParts): Bans {
  const { clock, rules, isExempt, onBan } = parts;
  const bans = new LRUCache<string, Ban>({ max: BANS_MAX });
  const strikes = createSlidingWindows(clock);
  let begun = 0;

  function begin(address: string, firstMs: number): void {
    const nowMs = clock.now();
    const before = bans.get(address);
    if (before !== undefined && before.endsAtMs > nowMs) return;
    const isRecent = before !== undefined && before.endsAtMs + FADE_MS > nowMs;
    const count = isRecent ? before.count + 1 : 1;
    const durationMs = Math.min(firstMs * 2 ** Math.min(count - 1, DOUBLINGS_MAX), LONGEST_MS);
    const ban = { address, beganAtMs: nowMs, endsAtMs: nowMs + durationMs, count };
    bans.set(address, ban);
    // What comes after it is judged anew.
    strikes.forget(address);
    begun += 1;
    onBan(ban);
  }

  const list = (): readonly Ban[] =>
    [...bans.values()]
      .filter(({ endsAtMs }) => endsAtMs > clock.now())
      .sort((a, b) => b.beganAtMs - a.beganAtMs);

  const clear = (addresses: readonly string[]): readonly string[] => {
    const keys = addresses.map((address) => (address.includes('/') ? address : subnetOf(address)));
    const running = new Set(list().map(({ address }) => address));
    for (const key of keys) {
      bans.delete(key);
      strikes.forget(key);
    }
    return keys.filter((key) => running.has(key));
  };

  return {
    refusalOf(address) {
      if (bans.size === 0 || isExempt(address)) return undefined;
      const ban = bans.peek(subnetOf(address));
      const leftMs = ban === undefined ? 0 : ban.endsAtMs - clock.now();
      return leftMs > 0 ? banned(leftMs) : undefined;
    },
    strike(address) {
      const { refusals: limit, windowMs, firstMs } = rules();
      if (limit === 0 || isExempt(address)) return;
      const key = subnetOf(address);
      if (strikes.take(key, { limit, windowMs }).waitMs > 0) begin(key, firstMs);
    },
    list,
    clear,
    clearAll: () => clear(list().map(({ address }) => address)),
    get begun() {
      return begun;
    },
  };
}

function banned(retryAfterMs: number): DomainError {
  const seconds = String(Math.ceil(retryAfterMs / 1000));
  return new DomainError(
    'RATE_LIMITED',
    `this address is banned for ${seconds} s, because it went on although it was refused; wait, or ask an operator to clear it`,
    { metadata: { limit: '0', policy: 'ban' }, retryAfterMs },
  );
}
