import { describe, expect, it } from 'vitest';

import { createBans } from '../../../src/domain/quota/bans.ts';
import {
  createRateLimits,
  type RateLimits,
  type RateRules,
  type Soon,
  type Verdict,
} from '../../../src/domain/quota/rate-limits.ts';
import { createSlidingWindows } from '../../../src/platform/sliding-windows.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';

const NONE: RateRules = {
  ...{ windowMs: 60_000, requests: 0, burst: 0, anonymous: 0 },
  ...{ logins: 0, verifications: 0, principal: 0 },
};

function open(rules: Partial<RateRules>, clock: ManualClock = createManualClock()): RateLimits {
  const bans = createBans({
    clock,
    rules: () => ({ refusals: 5, windowMs: 60_000, firstMs: 60_000 }),
    isExempt: () => false,
    onBan: () => undefined,
  });
  return createRateLimits({
    ...{ clock, bans, budgets: createSlidingWindows(clock) },
    rules: () => ({ ...NONE, ...rules }),
  });
}

async function outcomes(count: number, take: () => Soon): Promise<string> {
  let text = '';
  for (let n = 0; n < count; n++) text += (await take())?.refusal ? 'x' : '.';
  return text;
}

describe('limits', () => {
  it('that are not set are none', () => {
    const limits = open({});
    expect(limits.request('a')).toBeUndefined();
    expect(limits.call('login', 'a')).toBeUndefined();
    expect(limits.principal('ada')).toBeUndefined();
    expect(limits.token('grant', 0)).toBeUndefined();
  });

  it('are each of their own', async () => {
    const limits = open({ requests: 2, anonymous: 3, logins: 1, verifications: 2, principal: 2 });
    const [one, other] = ['198.51.100.1', '198.51.100.2'];
    expect(await outcomes(3, () => limits.request(one))).toBe('..x');
    expect(await outcomes(2, () => limits.call('login', one))).toBe('.x');
    expect(await outcomes(3, () => limits.call('verification', one))).toBe('..x');
    expect(await outcomes(4, () => limits.anonymous(one))).toBe('...x');
    expect(await outcomes(3, () => limits.request(other))).toBe('..x');
    expect(await outcomes(3, () => limits.principal('ada'))).toBe('..x');
    expect(await outcomes(2, () => limits.principal('bob'))).toBe('..');
    expect(await outcomes(4, () => limits.token('grant', 3))).toBe('...x');
    expect(limits.refused('address')).toBe(2);
    expect(limits.refused('login')).toBe(1);
  });

  it('count all addresses of an IPv6 /64 as one', async () => {
    const limits = open({ requests: 2 });
    let host = 0;
    const take = (): Verdict | undefined => limits.request(`2001:db8::${(host++).toString(16)}`);
    expect(await outcomes(3, take)).toBe('..x');
    expect(limits.request('2001:db8:0:1::1')?.refusal).toBeUndefined();
  });

  it('let a burst through and then what comes back', async () => {
    const clock = createManualClock();
    const limits = open({ requests: 60, burst: 4 }, clock);
    expect(await outcomes(6, () => limits.request('a'))).toBe('....xx');
    clock.advance(2000);
    expect(await outcomes(3, () => limits.request('a'))).toBe('..x');
  });

  it('say what was met, and when to come again', () => {
    const limits = open({ requests: 1 });
    const first = limits.request('a');
    expect(first?.standing).toMatchObject({ policy: 'address', quota: 1, remaining: 0 });
    const { refusal } = limits.request('a')!;
    expect(refusal?.reason).toBe('RATE_LIMITED');
    expect(refusal?.message).toBe(
      'more than 1 requests in 60 s from this address; wait, then try again',
    );
    expect(refusal?.metadata).toEqual({ limit: '1', windowSeconds: '60', policy: 'address' });
    expect(refusal?.retryAfterMs).toBeGreaterThan(0);
  });

  it('ban an address that goes on, but nobody for what a user or a token did', () => {
    const limits = open({ requests: 1, principal: 1 });
    for (let n = 0; n < 100; n++) void limits.principal('ada');
    expect(limits.refused('ban')).toBe(0);
    for (let n = 0; n < 8; n++) limits.request('a');
    expect(limits.refused('ban')).toBe(1);
    for (let n = 0; n < 6; n++) limits.strike('b');
    expect(limits.request('b')?.refusal?.metadata).toMatchObject({ policy: 'ban' });
  });

  it('keep a bounded number of counters, however many addresses there are', () => {
    const limits = open({ requests: 10 });
    for (let n = 0; n < 120_000; n++) {
      limits.request(`2001:db8:${(n >> 8).toString(16)}:${(n & 255).toString(16)}::1`);
    }
    expect(limits.counters()).toBeLessThanOrEqual(100_000);
  });
});
