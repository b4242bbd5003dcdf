import { describe, expect, it } from 'vitest';

import { BANS_MAX, createBans, type Ban, type Bans } from '../../../src/domain/quota/bans.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

interface Scene {
  readonly clock: ManualClock;
  readonly bans: Bans;
  readonly told: readonly Ban[];
  /** Strikes until a ban begins. */
  readonly ban: (address: string) => number;
}

function open(refusals = 3): Scene {
  const clock = createManualClock();
  const told: Ban[] = [];
  const bans = createBans({
    clock,
    rules: () => ({ refusals, windowMs: MINUTE_MS, firstMs: MINUTE_MS }),
    isExempt: (address) => address === '127.0.0.1',
    onBan: (ban) => told.push(ban),
  });
  const ban = (address: string): number => {
    const before = bans.begun;
    for (let strikes = 1; strikes <= 100; strikes++) {
      bans.strike(address);
      if (bans.begun > before) return strikes;
    }
    return Infinity;
  };
  return { clock, bans, told, ban };
}

describe('an address that goes on although it is refused', () => {
  it('is banned for a while, and then no more', () => {
    const { clock, bans, ban } = open();
    expect(ban('198.51.100.7')).toBe(4);
    const refusal = bans.refusalOf('198.51.100.7');
    expect([refusal?.reason, refusal?.retryAfterMs]).toEqual(['RATE_LIMITED', MINUTE_MS]);
    expect(bans.refusalOf('198.51.100.8')).toBeUndefined();
    clock.advance(MINUTE_MS);
    expect(bans.refusalOf('198.51.100.7')).toBeUndefined();
    expect(bans.list()).toEqual([]);
    // It is judged anew.
    expect(ban('198.51.100.7')).toBe(4);
  });

  it('is banned twice as long each time, up to a day, until it was quiet for one', () => {
    const { clock, told, ban } = open();
    for (let n = 0; n < 14; n++) {
      ban('198.51.100.7');
      const last = told.at(-1)!;
      clock.advance(last.endsAtMs - last.beganAtMs + 2 * MINUTE_MS);
    }
    const minutes = told.map(({ beganAtMs, endsAtMs }) => (endsAtMs - beganAtMs) / MINUTE_MS);
    expect(minutes).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440, 1440]);
    clock.advance(DAY_MS);
    ban('198.51.100.7');
    expect(told.at(-1)?.count).toBe(1);
  });

  it('takes its whole /64 of IPv6 with it', () => {
    const { bans, ban } = open();
    ban('2001:db8:1:2::1');
    expect(bans.refusalOf('2001:db8:1:2:ffff::9')).toBeDefined();
    expect(bans.refusalOf('2001:db8:1:3::1')).toBeUndefined();
    expect(bans.list().map(({ address }) => address)).toEqual(['2001:db8:1:2::/64']);
  });

  it('is let in again, and starts over, when its ban is cleared', () => {
    const { bans, told, ban } = open();
    ban('198.51.100.7');
    ban('2001:db8:1:2::1');
    expect(bans.clear(['198.51.100.7', '203.0.113.1'])).toEqual(['198.51.100.7']);
    expect(bans.refusalOf('198.51.100.7')).toBeUndefined();
    expect(bans.clearAll()).toEqual(['2001:db8:1:2::/64']);
    expect(bans.list()).toEqual([]);
    bans.strike('198.51.100.7');
    bans.clear(['198.51.100.7']);
    expect(ban('198.51.100.7')).toBe(4);
    expect(told.at(-1)?.count).toBe(1);
  });

  it('is never banned where many share it, nor when bans are off', () => {
    expect(open().ban('127.0.0.1')).toBe(Infinity);
    expect(open(0).ban('198.51.100.7')).toBe(Infinity);
  });

  it('takes bounded memory, however many there are', () => {
    const { bans } = open(1);
    for (let n = 0; n < BANS_MAX + 500; n++) {
      const address = `10.${String(n >> 16)}.${String((n >> 8) & 255)}.${String(n & 255)}`;
      bans.strike(address);
      bans.strike(address);
    }
    expect(bans.list()).toHaveLength(BANS_MAX);
  });
});
