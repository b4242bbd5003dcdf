import type { RateLimits, Verdict } from '../../domain/quota/rate-limits.ts';

/** What was refused for its address. */
export interface RefusedRequest {
  readonly address: string;
  readonly requestId: string;
  /** The pattern of its route, such as `/v1/collections/:collection`; empty when there is none. */
  readonly route: string;
}

/** How much each address may ask, and who is told of what is beyond it. */
export interface AddressLimit {
  readonly rates: RateLimits;
  readonly onRefused: (refused: RefusedRequest) => void;
}

/** Counts one more request of an address. Also refused while that is banned. */
export function countRequest(limit: AddressLimit, request: RefusedRequest): Verdict | undefined {
  return tell(limit, request, limit.rates.request(request.address));
}

/** Counts one more call of an address without a valid credential. */
export function countAnonymous(limit: AddressLimit, request: RefusedRequest): Verdict | undefined {
  return tell(limit, request, limit.rates.anonymous(request.address));
}

function tell(
  { onRefused }: AddressLimit,
  request: RefusedRequest,
  verdict: Verdict | undefined,
): Verdict | undefined {
  if (verdict?.refusal !== undefined) onRefused(request);
  return verdict;
}
