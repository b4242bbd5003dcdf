/** What answers say of limits: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10). */
import type { FastifyReply } from 'fastify';

import type { Standing } from '../../domain/quota/rate-limits.ts';

/** The fields, for browsers that must be allowed to read them. */
export const RATE_LIMIT_FIELDS = ['ratelimit', 'ratelimit-policy', 'retry-after'] as const;

const MS_PER_SECOND = 1000;

/** Adds a limit to what an answer says of limits; an earlier word on the same one is replaced. */
export function announce(reply: FastifyReply, standing: Standing): void {
  const { policy, quota, windowMs, remaining, resetMs } = standing;
  add(reply, 'ratelimit-policy', `"${policy}";q=${String(quota)};w=${seconds(windowMs)}`);
  add(reply, 'ratelimit', `"${policy}";r=${String(remaining)};t=${seconds(resetMs)}`);
}

function add(reply: FastifyReply, field: string, item: string): void {
  const before = reply.getHeader(field);
  const [name] = item.split(';', 1);
  const others = typeof before === 'string' ? before.split(', ') : [];
  const kept = others.filter((other) => other.split(';', 1)[0] !== name);
  reply.header(field, [...kept, item].join(', '));
}

function seconds(ms: number): string {
  return String(Math.ceil(ms / MS_PER_SECOND));
}
