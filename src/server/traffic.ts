import type { ServerConfig } from '../config/server-config.ts';
import type { Audit } from '../domain/audit/audit.ts';
import { createBans, type Ban, type Bans } from '../domain/quota/bans.ts';
import { openBudgets } from '../domain/quota/budgets.ts';
import { createRateLimits, type RateRules } from '../domain/quota/rate-limits.ts';
import { createAddressRanges } from '../platform/address-ranges.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { StorageEngine } from '../storage/engine.ts';
import type { AddressLimit } from '../protocol/http/address-limit.ts';
import type { LiveSettings } from './reload.ts';
import { createUndeclaredProxies } from './undeclared-proxies.ts';

/** How much is taken of whom. What was refused is recorded. */
export interface Traffic extends AddressLimit {
  readonly bans: Bans;
  /** Whose connections and requests are those of many. */
  readonly isProxy: (address: string) => boolean;
  /** Notes a peer that forwards requests of others though nobody said that it is a proxy. */
  readonly onForwarded: (address: string) => void;
  /** How many requests were refused for their address. */
  refusedRequests(): number;
}

/** What it needs. */
export interface TrafficParts {
  readonly engine: Pick<StorageEngine, 'budgets'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: Pick<Audit, 'note'>;
  /** The settings of the moment. */
  readonly live: () => LiveSettings;
}

/** From here operators work. */
const THIS_MACHINE = ['127.0.0.0/8', '::1'];

/** Opens limits and bans, all at zero. */
export function openTraffic(
  { trustedProxies }: ServerConfig,
  { engine, clock, logger, audit, live }: TrafficParts,
): Traffic {
  const proxies = createAddressRanges(trustedProxies);
  const exempt = createAddressRanges([...trustedProxies, ...THIS_MACHINE]);
  const undeclared = createUndeclaredProxies(logger);
  const bans = createBans({
    clock,
    rules: () => ({ ...live().bans, windowMs: live().rateLimit.windowMs }),
    isExempt: (address) => exempt.has(address) || undeclared.has(address),
    onBan: (ban) => {
      tell(ban, { logger, audit });
    },
  });
  const rules = (): RateRules => ({ ...live().rates, ...live().rateLimit });
  let refused = 0;
  return {
    ...{
      bans,
      rates: createRateLimits({ clock, bans, rules, budgets: openBudgets(engine, clock) }),
    },
    isProxy: (address) => proxies.has(address),
    refusedRequests: () => refused,
    onForwarded: undeclared.note,
    onRefused: ({ address, requestId, route }) => {
      refused += 1;
      audit.note({
        ...{ action: 'access.denied', result: 'denied', reason: 'RATE_LIMITED' },
        ...{ address, requestId, resource: route },
      });
    },
  };
}

function tell(
  { address, beganAtMs, endsAtMs, count }: Ban,
  { logger, audit }: Pick<TrafficParts, 'logger' | 'audit'>,
): void {
  const seconds = Math.ceil((endsAtMs - beganAtMs) / 1000);
  logger.warn('an address was banned', { address, seconds, count });
  const details = { seconds: String(seconds), count: String(count) };
  audit.note({ action: 'ban.begin', result: 'success', address, resource: address, details });
}
