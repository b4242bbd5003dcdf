import type { StorageEngine } from '../../storage/engine.ts';
import type { StoredDocument } from '../../storage/types.ts';
import type { Principal } from './principal.ts';
import { countAll, readAll, type ReadRange } from './records.ts';
import type { Revocable, RevocableChain } from './revocations.ts';

/** A delegated token as the store knows it; the token itself it does not know. */
export interface GrantRecord {
  /** The id of the first token of it. */
  readonly id: string;
  /** Whom it was made for. */
  readonly clientId: string;
  /** The user on whose authority it stands. */
  readonly user: string;
  readonly userId: string;
  /** The sign-in that the first of its line was made with; empty: an API key. */
  readonly signInId: string;
  /** The delegation or API key it was made with; empty: a sign-in of the user. */
  readonly parentId: string;
  /** 1: made by a sign-in or an API key. */
  readonly depth: number;
  readonly scopes: readonly string[];
  readonly createdAtMs: number;
  /** The end of the newest token of it. */
  readonly expiresAtMs: number;
  /** It cannot be renewed beyond this. */
  readonly grantEndsAtMs: number;
  readonly signingKeyId: string;
  /** What it was delegated with: the nearest first. */
  readonly ancestors: readonly Revocable[];
  readonly callsPerMinute: number;
}

/** One page of delegations. */
export interface GrantPage {
  readonly grants: readonly PlacedGrant[];
  /** Undefined: the last. */
  readonly next: string | undefined;
}

/** A delegation and its place in the tree. */
export interface PlacedGrant {
  readonly grant: GrantRecord;
  readonly path: string;
}

/**
 * The tree of delegations. A place in it is the path from the user down, so that what was delegated with
 * a token is a run of keys. Each is kept until it can no longer be renewed.
 */
export interface Grants {
  /** Adds a delegation below the one it was made with. */
  add(grant: GrantRecord, parentPath: string): Promise<void>;
  find(id: string): Promise<PlacedGrant | undefined>;
  /** A renewal moved the end. */
  moveEnd(id: string, expiresAtMs: number): Promise<void>;
  /** The delegations below a path (and at it), parents before children. Up to `limit` after `after`. */
  page(
    prefix: string,
    page: { readonly after: string; readonly limit: number },
  ): Promise<GrantPage>;
  /** All of them below a path. */
  below(prefix: string): AsyncIterable<PlacedGrant>;
  /** How many of a user are kept, those that were revoked among them. */
  count(userId: string): Promise<number>;
}

const TREE = '$tokenTree';
const PLACES = '$tokens';
const SEPARATOR = '.';

/** Opens the delegations of a store. */
export function createGrants(engine: StorageEngine): Grants {
  async function find(id: string): Promise<PlacedGrant | undefined> {
    const [place] = await engine.get(PLACES, [id]);
    if (place === undefined) return undefined;
    const { path } = JSON.parse(place.body) as { readonly path: string };
    const [document] = await engine.get(TREE, [path]);
    return document && toPlaced(document);
  }
  return {
    find,
    async add(grant, parentPath) {
      const path = `${parentPath}${SEPARATOR}${segmentOf(grant.id)}`;
      const { grantEndsAtMs: expiresAtMs } = grant;
      await engine.transact({ durability: 'sync' }, (transaction) => {
        const place = { collection: PLACES, key: grant.id, body: JSON.stringify({ path }) };
        transaction.put({ ...place, expiresAtMs });
        const body = JSON.stringify(grant);
        transaction.put({ collection: TREE, key: path, body, expiresAtMs });
      });
    },
    async moveEnd(id, expiresAtMs) {
      const placed = await find(id);
      if (placed === undefined) return;
      const { grant, path } = placed;
      await engine.transact({ durability: 'sync' }, (transaction) => {
        const body = JSON.stringify({ ...grant, expiresAtMs });
        transaction.put({ collection: TREE, key: path, body, expiresAtMs: grant.grantEndsAtMs });
      });
    },
    async page(prefix, { after, limit }) {
      const grants: PlacedGrant[] = [];
      for await (const placed of below(engine, prefix, { after, pageSize: limit + 1 })) {
        if (grants.length === limit) return { grants, next: grants.at(-1)?.path };
        grants.push(placed);
      }
      return { grants, next: undefined };
    },
    below: (prefix) => below(engine, prefix),
    count: (userId) => countAll(engine, TREE, `${userId}${SEPARATOR}`),
  };
}

async function* below(
  engine: StorageEngine,
  prefix: string,
  range: Omit<ReadRange, 'keyPrefix'> = {},
): AsyncIterable<PlacedGrant> {
  for await (const document of readAll(engine, TREE, { ...range, keyPrefix: prefix })) {
    // Segments have one length each, but ids of users do not.
    const rest = document.key.slice(prefix.length);
    if (prefix === '' || rest === '' || rest.startsWith(SEPARATOR)) yield toPlaced(document);
  }
}

function toPlaced({ key, body }: StoredDocument): PlacedGrant {
  return { grant: JSON.parse(body) as GrantRecord, path: key };
}

/** A delegation, as revocations know it: whichever of its tokens is the newest. */
export function chainOf(grant: GrantRecord): RevocableChain {
  const { id, userId, signInId, clientId, signingKeyId, createdAtMs, ancestors } = grant;
  const { callsPerMinute } = grant;
  const own = {
    ...{ tokenId: '', grantId: id, clientId, signingKeyId, callsPerMinute },
    issuedAtMs: createdAtMs,
  };
  return { links: [own, ...ancestors], sessionId: '', signInId, userId };
}

/** The place of a credential: what it delegates stands below it. */
export function pathOf({ links, userId, sessionId }: RevocableChain): string {
  const below = sessionId === '' ? links : links.slice(1);
  return [userId, ...below.map(({ grantId }) => segmentOf(grantId)).reverse()].join(SEPARATOR);
}

/** The place of a caller; undefined for one without a credential. */
export function placeOf({ credential }: Principal): string | undefined {
  return credential && pathOf(credential.chain);
}

/** Reports whether a path is a place or below it. */
export function isBelow(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}${SEPARATOR}`);
}

/** A UUID in 22 characters; ids of API keys are short as they are. */
function segmentOf(id: string): string {
  const hex = id.replaceAll('-', '');
  return hex.length === 32 ? Buffer.from(hex, 'hex').toString('base64url') : id;
}
