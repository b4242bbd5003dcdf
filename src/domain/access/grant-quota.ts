import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { chainOf, type Grants } from './grants.ts';
import type { Revocations } from './revocations.ts';

/** How many tokens of one user, however deep in its tree, may live at once. */
export interface GrantQuota {
  /** Takes the place of one more. QUOTA_EXCEEDED when there is none. */
  take(user: string, userId: string): Promise<void>;
}

/** What the quota needs. */
export interface GrantQuotaParts {
  readonly clock: Clock;
  readonly grants: Grants;
  readonly revocations: Revocations;
  readonly liveMax: number;
}

/** What is known of one user: at least as many live as there really are. */
interface Tally {
  count: number;
  countedAtMs: number;
}

/** Users whose tokens are counted in memory; of others they are counted anew. */
const TALLIES_MAX = 10_000;
/** How often the tokens of one user are looked through for those that were revoked or have ended. */
const RECOUNT_MS = 30_000;

/**
 * Creates the quota. Tokens are counted up as they are made; only when the count has reached the bound are
 * they looked through for those that do not live any more.
 */
export function createGrantQuota({
  clock,
  grants,
  revocations,
  liveMax,
}: GrantQuotaParts): GrantQuota {
  const tallies = new LRUCache<string, Promise<Tally>>({ max: TALLIES_MAX });

  function tallyOf(userId: string): Promise<Tally> {
    const known = tallies.get(userId);
    if (known !== undefined) return known;
    const made = grants.count(userId).then((count) => ({ count, countedAtMs: -Infinity }));
    tallies.set(userId, made);
    made.catch(() => {
      tallies.delete(userId);
    });
    return made;
  }

  async function countLive(userId: string): Promise<number> {
    let count = 0;
    for await (const { grant } of grants.below(userId)) {
      if (!revocations.isRevoked(chainOf(grant))) count += 1;
    }
    return count;
  }

  return {
    async take(user, userId) {
      const tally = await tallyOf(userId);
      const nowMs = clock.monotonic();
      if (tally.count >= liveMax && nowMs - tally.countedAtMs >= RECOUNT_MS) {
        // Noted first: whoever comes meanwhile is refused and starts no other count.
        tally.countedAtMs = nowMs;
        tally.count = await countLive(userId);
      }
      if (tally.count >= liveMax) throw tooManyTokens(user, liveMax);
      tally.count += 1;
    },
  };
}

function tooManyTokens(user: string, liveMax: number): DomainError {
  const seconds = String(RECOUNT_MS / 1000);
  return new DomainError(
    'QUOTA_EXCEEDED',
    `'${user}' has ${String(liveMax)} delegated tokens that live or can be renewed; revoke some and try ` +
      `again in ${seconds} s, or have --max-tokens-per-user raised`,
    { metadata: { user, limit: String(liveMax) }, retryAfterMs: RECOUNT_MS },
  );
}
