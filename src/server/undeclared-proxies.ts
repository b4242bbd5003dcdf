import type { Logger } from '../platform/logger.ts';
import { isPrivateAddress } from '../platform/private-address.ts';

/** Peers that forward requests of others, and that `--trusted-proxy` does not name. */
export interface UndeclaredProxies {
  /** Tells of one, once. Who forwards over the public Internet may be anybody's, and is left out. */
  readonly note: (address: string) => void;
  /** Whether everybody may be behind this address. */
  readonly has: (address: string) => boolean;
}

/** Told and remembered at most; a network has a few. */
const PROXIES_MAX = 100;

/** Creates it; none is known. */
export function createUndeclaredProxies(logger: Pick<Logger, 'warn'>): UndeclaredProxies {
  const known = new Set<string>();
  return {
    note(address) {
      if (known.has(address) || known.size >= PROXIES_MAX || !isPrivateAddress(address)) return;
      known.add(address);
      logger.warn(
        'a proxy is not in --trusted-proxy: all who come through it count as one for limits, waits after failed logins and the audit log; name it there. Until then it is not banned',
        { address },
      );
    },
    has: (address) => known.has(address),
  };
}
