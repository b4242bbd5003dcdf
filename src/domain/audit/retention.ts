import type { Lease } from '../../storage/engine.ts';
import type { Chain, StoredRecord } from './chain.ts';
import { isGenuine, type AuditRecord } from './record.ts';

/** Records looked at, and deleted, in one commit; and commits of one run. */
const SLICE = 500;
const SLICES_MAX = 200;

/**
 * Deletes records written before `beforeMs`, but for the newest; returns how many.
 *
 * Only a time that is sealed counts: who changes a record cannot have it, or others, deleted. A broken
 * place, and what is before it, stays as evidence until a sound record behind it is older than
 * `brokenBeforeMs`.
 */
export async function deleteOld(
  chain: Chain,
  {
    lease,
    ...times
  }: { readonly beforeMs: number; readonly brokenBeforeMs: number; readonly lease: Lease },
): Promise<number> {
  let deleted = 0;
  for (let slices = 0; slices < SLICES_MAX; slices++) {
    const { anchor, end } = chain.ends();
    const first = anchor.number + 1;
    const stored = await chain.read(first, Math.min(end.number - 1, first + SLICE - 1));
    const last = lastToDelete(chain, stored, times);
    if (last === undefined) break;
    await chain.deleteThrough(last, lease);
    deleted += chain.ends().anchor.number - anchor.number;
    if (chain.ends().anchor.number !== last.number) break;
  }
  return deleted;
}

function lastToDelete(
  chain: Chain,
  stored: readonly StoredRecord[],
  { beforeMs, brokenBeforeMs }: { readonly beforeMs: number; readonly brokenBeforeMs: number },
): AuditRecord | undefined {
  let { hash } = chain.ends().anchor;
  let limitMs = beforeMs;
  let last: AuditRecord | undefined;
  for (const one of stored) {
    const record = one.kind === 'record' ? one.record : undefined;
    const isTrusted = record !== undefined && isTrustworthy(chain, record);
    if (!isTrusted || record.previousHash !== hash) limitMs = brokenBeforeMs;
    hash = record?.hash ?? '';
    if (!isTrusted) continue;
    if (record.time >= limitMs) break;
    last = record;
  }
  return last;
}

/** Of records under an earlier secret only the links can be checked. */
function isTrustworthy(chain: Chain, record: AuditRecord): boolean {
  return record.number <= chain.ends().foreignThrough || isGenuine(chain.key, record);
}
