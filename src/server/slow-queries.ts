import type { EndedQuery } from '../domain/documents/parts.ts';
import type { Logger } from '../platform/logger.ts';

/**
 * Logs queries that took at least so long: which RPC, of what collection, how documents were found and how
 * many were looked at. Never a value, neither of what was asked nor of what was found. 0 logs none.
 */
export function createSlowQueryLog(logger: Logger, slowMs: number): (query: EndedQuery) => void {
  return ({ cost, durationMs, call, ...who }) => {
    if (slowMs === 0 || durationMs < slowMs) return;
    const { plan, examined, returned } = cost ?? {};
    logger.warn('slow query', {
      ...{ rpc: call, ...who, plan, examined, returned },
      durationMs: Math.round(durationMs),
      ...(cost === undefined ? { failed: true } : {}),
    });
  };
}
