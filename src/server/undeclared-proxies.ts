import { LRUCache } from 'lru-cache';

import type { Logger } from '../platform/logger.ts';
import { isPrivateAddress } from '../platform/private-address.ts';
import { subnetOf } from '../platform/subnet.ts';

/** Peers that forward requests of others, and that `--trusted-proxy` does not name. */
export interface UndeclaredProxies {
  /** Tells of one, once. Who forwards over the public Internet may be anybody's, and is left out. */
  readonly note: (address: string) => void;
  /** Whether everybody may be behind this address. */
  readonly has: (address: string) => boolean;
}

/** Remembered at most, those first forgotten that forwarded nothing for longest; a network has a few. */
const PROXIES_MAX = 100;
const REMEMBERED_MS = 3_600_000;
/** Told at most, of all. */
const TOLD_MAX = 100;

/** Creates it; none is known. */
export function createUndeclaredProxies(logger: Pick<Logger, 'warn'>): UndeclaredProxies {
  /** By what bans go by: an IPv4 address, or the /64 of an IPv6 one. */
  const known = new LRUCache<string, true>({ max: PROXIES_MAX, ttl: REMEMBERED_MS });
  let told = 0;
  return {
    note(address) {
      if (!isPrivateAddress(address)) return;
      const key = subnetOf(address);
      const isKnown = known.has(key);
      known.set(key, true);
      if (isKnown || told >= TOLD_MAX) return;
      told += 1;
      logger.warn(
        'a proxy is not in --trusted-proxy: all who come through it count as one for limits, waits after failed logins and the audit log; name it there. Until then it is not banned',
        { address },
      );
    },
    has: (address) => known.has(subnetOf(address)),
  };
}
