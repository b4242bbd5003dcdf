/**
 * How much may be asked: by an address before anybody is known, by a principal after that. One set of
 * counters serves every protocol, bounded; whoever counts knows only what it counts. What an address may do
 * before anybody is known is counted per node: an exchange with the store for it is what a flood would want.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import {
  createSlidingWindows,
  type Allowance,
  type WindowBound,
} from '../../platform/sliding-windows.ts';
import { subnetOf } from '../../platform/subnet.ts';
import { createTokenBuckets } from '../../platform/token-buckets.ts';
import type { Bans } from './bans.ts';
import type { Budgets } from './budgets.ts';

/** Calls per window, by what they are counted for; 0: no bound. */
export interface RateRules {
  readonly windowMs: number;
  /** Requests of one address, whatever they are for. */
  readonly requests: number;
  /** How many of those at once; they come back evenly over the window. */
  readonly burst: number;
  /** Calls of one address that show no valid credential. */
  readonly anonymous: number;
  /** Attempts of one address to sign in. */
  readonly logins: number;
  /** Calls of one address that have a token or a code verified. */
  readonly verifications: number;
  /** Calls of one user or client. */
  readonly principal: number;
}

/** What calls of one address are counted for beside all its requests. */
export type CallKind = 'login' | 'verification';

/** Which bound was met. */
export type LimitName =
  'address' | 'burst' | 'anonymous' | 'principal' | 'token' | 'ban' | CallKind;

/** All of them. */
export const LIMIT_NAMES: readonly LimitName[] = [
  ...(['address', 'burst', 'anonymous', 'login', 'verification', 'principal', 'token'] as const),
  'ban',
];

/** How a caller stands with one limit. */
export interface Standing {
  readonly policy: LimitName;
  readonly quota: number;
  readonly windowMs: number;
  readonly remaining: number;
  /** Milliseconds until the window ends. */
  readonly resetMs: number;
}

/** What came of counting one. */
export interface Verdict {
  readonly standing?: Standing;
  /** RATE_LIMITED. Absent: it may go on. */
  readonly refusal?: DomainError;
}

/** A verdict; undefined means that there is no such bound. What all nodes share may have to be asked for. */
export type Soon = Verdict | undefined | Promise<Verdict>;

/** Counts. */
export interface RateLimits {
  /** A request of an address. Also refused while the address is banned. */
  request(address: string): Verdict | undefined;
  /** A call of an address without a valid credential. */
  anonymous(address: string): Verdict | undefined;
  /** A call of an address of this kind. */
  call(kind: CallKind, address: string): Soon;
  principal(subject: string): Soon;
  /** A call with a token that was made with a bound of its own, per minute. */
  token(grantId: string, callsPerMinute: number): Soon;
  /** Counts towards a ban of the address: a credential that is wrong. */
  strike(address: string): void;
  /** How often each bound was met since the start. */
  refused(limit: LimitName): number;
  /** Counters in memory. */
  counters(): number;
}

/** What limits need. */
export interface RateLimitParts {
  readonly clock: Clock;
  /** The rules of the moment. */
  readonly rules: () => RateRules;
  readonly bans: Bans;
  /** Counts what holds over all nodes of a store. */
  readonly budgets: Budgets;
}

const MINUTE_MS = 60_000;
const MS_PER_SECOND = 1000;

/** Creates limits whose counters are at zero. */
export function createRateLimits(parts: RateLimitParts): RateLimits {
  return new CountingLimits(parts);
}

class CountingLimits implements RateLimits {
  readonly #parts: RateLimitParts;
  readonly #addresses;
  readonly #bursts;
  readonly #refused = new Map<LimitName, number>();

  constructor(parts: RateLimitParts) {
    this.#parts = parts;
    this.#addresses = createSlidingWindows(parts.clock);
    this.#bursts = createTokenBuckets(parts.clock);
  }

  request(address: string): Verdict | undefined {
    const { bans, rules } = this.#parts;
    const ban = bans.refusalOf(address);
    if (ban !== undefined) {
      this.#note('ban');
      return { refusal: ban };
    }
    const { requests: limit, windowMs, burst } = rules();
    if (limit === 0) return undefined;
    const key = subnetOf(address);
    const bound = { limit, windowMs };
    const waitMs =
      burst === 0 ? 0 : this.#bursts.take(key, { capacity: burst, refillMs: windowMs / limit });
    if (waitMs > 0) {
      bans.strike(address);
      this.#note('burst');
      return { refusal: limited('burst', { limit: burst, windowMs }, waitMs) };
    }
    return this.#judge('address', bound, {
      allowance: this.#addresses.take(`address ${key}`, bound),
      address,
    });
  }

  anonymous(address: string): Verdict | undefined {
    const { windowMs, anonymous: limit } = this.#parts.rules();
    if (limit === 0) return undefined;
    const bound = { limit, windowMs };
    const allowance = this.#addresses.take(`anonymous ${subnetOf(address)}`, bound);
    return this.#judge('anonymous', bound, { allowance, address });
  }

  call(kind: CallKind, address: string): Soon {
    const { windowMs, logins, verifications } = this.#parts.rules();
    const limit = { login: logins, verification: verifications }[kind];
    if (limit === 0) return undefined;
    const bound = { limit, windowMs };
    const allowance = this.#parts.budgets.take(`${kind} ${subnetOf(address)}`, bound);
    return this.#judgeSoon(kind, bound, { allowance, address });
  }

  principal(subject: string): Soon {
    const { windowMs, principal: limit } = this.#parts.rules();
    if (limit === 0) return undefined;
    const bound = { limit, windowMs };
    return this.#judgeSoon('principal', bound, {
      allowance: this.#parts.budgets.take(`principal ${subject}`, bound),
    });
  }

  token(grantId: string, callsPerMinute: number): Soon {
    if (callsPerMinute === 0) return undefined;
    const bound = { limit: callsPerMinute, windowMs: MINUTE_MS };
    return this.#judgeSoon('token', bound, {
      allowance: this.#parts.budgets.take(`token ${grantId}`, bound),
    });
  }

  strike(address: string): void {
    this.#parts.bans.strike(address);
  }

  refused(limit: LimitName): number {
    return this.#refused.get(limit) ?? 0;
  }

  counters(): number {
    return this.#addresses.size + this.#parts.budgets.size;
  }

  #judgeSoon(
    policy: Exclude<LimitName, 'ban'>,
    bound: WindowBound,
    {
      allowance,
      ...rest
    }: { readonly allowance: Allowance | Promise<Allowance>; readonly address?: string },
  ): Verdict | Promise<Verdict> {
    return allowance instanceof Promise
      ? allowance.then((found) => this.#judge(policy, bound, { allowance: found, ...rest }))
      : this.#judge(policy, bound, { allowance, ...rest });
  }

  #judge(
    policy: Exclude<LimitName, 'ban'>,
    { limit: quota, windowMs }: WindowBound,
    { allowance, address }: { readonly allowance: Allowance; readonly address?: string },
  ): Verdict {
    const { waitMs, remaining, resetMs } = allowance;
    const standing = { policy, quota, windowMs, remaining, resetMs };
    if (waitMs === 0) return { standing };
    this.#note(policy);
    if (address !== undefined) this.#parts.bans.strike(address);
    return { standing, refusal: limited(policy, { limit: quota, windowMs }, waitMs) };
  }

  #note(limit: LimitName): void {
    this.#refused.set(limit, this.refused(limit) + 1);
  }
}

const WHAT: Readonly<Record<Exclude<LimitName, 'ban'>, string>> = {
  address: 'requests in %s s from this address',
  burst: 'requests at once from this address',
  anonymous: 'calls without a valid credential in %s s from this address',
  login: 'attempts to sign in in %s s from this address',
  verification: 'tokens to verify in %s s from this address',
  principal: 'calls in %s s by this user or client',
  token: 'calls in %s s with this token',
};

function limited(
  policy: Exclude<LimitName, 'ban'>,
  { limit, windowMs }: WindowBound,
  retryAfterMs: number,
): DomainError {
  const windowSeconds = String(windowMs / MS_PER_SECOND);
  const what = WHAT[policy].replace('%s', windowSeconds);
  return new DomainError(
    'RATE_LIMITED',
    `more than ${String(limit)} ${what}; wait, then try again`,
    { metadata: { limit: String(limit), windowSeconds, policy }, retryAfterMs },
  );
}
