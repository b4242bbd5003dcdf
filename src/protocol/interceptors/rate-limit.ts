import { getOption, type DescMethod } from '@bufbuild/protobuf';

import { rate_class, RateClass } from '../../../gen/molten/v1/options_pb.ts';
import type { CallKind, RateLimits, Verdict } from '../../domain/quota/rate-limits.ts';
import { hasReason } from '../../errors/domain-error.ts';
import type { Call, CallInterceptor } from '../call.ts';

/** Lets a call go on, or throws RATE_LIMITED; its caller is told how it stands either way. */
export function enforce({ origin }: Pick<Call, 'origin'>, verdict: Verdict | undefined): void {
  if (verdict?.standing !== undefined) origin.announce?.(verdict.standing);
  if (verdict?.refusal !== undefined) throw verdict.refusal;
}

/**
 * Bounds the calls of one address before anything is verified: all of them, where the request that they
 * came in was not counted already, and those of the kinds that the contract names. A wrong credential
 * counts towards a ban.
 */
export function createAddressRateLimit(limits: RateLimits): CallInterceptor {
  const kinds = new Map<DescMethod, CallKind | undefined>();
  return (next) => async (call) => {
    const { method, origin } = call;
    if (origin.isCounted !== true) enforce(call, limits.request(origin.address));
    if (!kinds.has(method)) kinds.set(method, KINDS[getOption(method, rate_class)]);
    const kind = kinds.get(method);
    if (kind !== undefined) enforce(call, await limits.call(kind, origin.address));
    try {
      return await next(call);
    } catch (error) {
      if (hasReason(error, 'CREDENTIAL_INVALID')) limits.strike(origin.address);
      throw error;
    }
  };
}

const KINDS: Readonly<Record<RateClass, CallKind | undefined>> = {
  [RateClass.UNSPECIFIED]: undefined,
  [RateClass.LOGIN]: 'login',
  [RateClass.VERIFICATION]: 'verification',
};

/**
 * Bounds the calls of a principal, and those with a delegated token by what it was made with: a bound that
 * is not stretched by delegating on, for it counts everything that was delegated with it. Nobody is bounded
 * by address.
 */
export function createCallerRateLimit(limits: RateLimits): CallInterceptor {
  return (next) => async (call) => {
    const { principal, origin } = call;
    if (principal.kind === 'anonymous') {
      enforce(call, limits.anonymous(origin.address));
      return await next(call);
    }
    enforce(call, await limits.principal(principal.subject));
    for (const { grantId, callsPerMinute } of principal.credential?.chain.links ?? []) {
      enforce(call, await limits.token(grantId, callsPerMinute));
    }
    return await next(call);
  };
}
