import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { MATCH_ALL } from '../../storage/query/filter.ts';
import { ALL_KEYS } from '../../storage/types.ts';

/** The collection of revoked tokens: the key is the `jti`, the document expires with the token. */
export const REVOCATIONS = '$revocations';

/** Knows which tokens were revoked before their end. */
export interface Revocations {
  isRevoked(tokenId: string): boolean;
  /**
   * Revokes a token, durably, before it returns. `expiresAtMs` is when the token ends at the latest; the
   * revocation is kept until then. False when it was revoked already.
   */
  revoke(tokenId: string, expiresAtMs: number): Promise<boolean>;
}

const PAGE = 1000;
/** How many revocations are made between two looks for those that have outlived their tokens. */
const PRUNE_EVERY = 1000;

/** Reads all revocations of a store. */
export async function createRevocations(engine: StorageEngine, clock: Clock): Promise<Revocations> {
  const ends = await readAll(engine);
  let sincePrune = 0;

  function prune(): void {
    sincePrune = 0;
    const nowMs = clock.now();
    for (const [tokenId, expiresAtMs] of ends) {
      if (expiresAtMs <= nowMs) ends.delete(tokenId);
    }
  }

  return {
    isRevoked: (tokenId) => ends.has(tokenId),
    async revoke(tokenId, expiresAtMs) {
      const isNew = !ends.has(tokenId);
      // At once in this process, so that of two who use a token for the last time one comes too late.
      ends.set(tokenId, expiresAtMs);
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.put({ collection: REVOCATIONS, key: tokenId, body: '{}', expiresAtMs });
      });
      sincePrune += 1;
      if (sincePrune >= PRUNE_EVERY) prune();
      return isNew;
    },
  };
}

async function readAll(engine: StorageEngine): Promise<Map<string, number>> {
  const ends = new Map<string, number>();
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...ALL_REVOCATIONS, after });
    for (const { key, expiresAtMs } of page.documents) ends.set(key, expiresAtMs ?? Infinity);
    if (page.next === undefined) return ends;
    after = page.next;
  }
}

const ALL_REVOCATIONS = {
  collection: REVOCATIONS,
  access: ALL_KEYS,
  ...{ keys: undefined, keyPrefix: '', filter: MATCH_ALL, joins: [] },
  limits: { examinedMax: Infinity, sortedMax: Infinity, timeMs: Infinity, pageBytesMax: Infinity },
  order: { by: 'key', direction: 'asc' },
  ...{ projection: undefined, offset: 0, limit: PAGE, total: false },
} as const;

/** CREDENTIAL_REVOKED. */
export function revoked(): DomainError {
  return new DomainError('CREDENTIAL_REVOKED', 'the token was revoked; log in again');
}
