import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Accounts } from './accounts.ts';
import type { ApiKeys } from './api-keys.ts';
import { TOKEN_TTL_MAX_MS } from './delegation.ts';
import {
  isBelow,
  placeOf,
  type GrantPage,
  type GrantRecord,
  type Grants,
  type PlacedGrant,
} from './grants.ts';
import type { Principal } from './principal.ts';
import type { RevocationKind, Revocations } from './revocations.ts';
import type { Sessions } from './sessions.ts';
import type { SigningKeys } from './signing-keys.ts';
import { grantOf } from './tokens.ts';
import { userNotFound } from './user-rules.ts';

/** What is to be revoked: a kind and the id of it; for users, the name. */
export interface RevocationTarget {
  readonly kind: Exclude<RevocationKind, 'token'>;
  readonly id: string;
}

/** What a revocation takes down. */
export interface RevocationPreview {
  readonly tokens: number;
  readonly sessions: number;
  readonly apiKeys: number;
  /** Clients that lose tokens: the first hundred, by name. */
  readonly clients: readonly string[];
}

/** Looks at tokens and ends them. */
export interface TokenControl {
  /**
   * Delegations below `parentId` (empty: all that the caller may see), parents before children. Whoever
   * lacks the scope `tokens:*:*` sees what it has delegated itself.
   */
  list(
    principal: Principal,
    page: { readonly parentId: string; readonly after: string; readonly limit: number },
  ): Promise<GrantPage>;
  /** TOKEN_NOT_FOUND, also for one that the caller may not see. */
  get(principal: Principal, tokenId: string): Promise<PlacedGrant>;
  /** The delegation has been revoked, or something above it. */
  isRevoked(placed: PlacedGrant): boolean;
  /**
   * Revokes a delegated token and everything below it. Whoever lacks the scope `tokens:*:*` may revoke
   * its own and what it has delegated; SCOPE_MISSING for all else. An unknown id is no error for those
   * who have the scope.
   */
  revokeToken(principal: Principal, tokenId: string): Promise<void>;
  /** Revokes by any kind. The scope `tokens:*:*` is demanded by the protocol. */
  revoke(target: RevocationTarget): Promise<RevocationPreview>;
  preview(target: RevocationTarget): Promise<RevocationPreview>;
}

/** What control needs. */
export interface TokenControlParts {
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly grants: Grants;
  readonly sessions: Sessions;
  readonly apiKeys: ApiKeys;
  readonly revocations: Revocations;
  readonly signingKeys: SigningKeys;
}

const CLIENTS_SHOWN = 100;
const DAY_MS = 24 * 3_600_000;

/** Creates the control of tokens. */
export function createTokenControl(parts: TokenControlParts): TokenControl {
  return new StoredTokenControl(parts);
}

class StoredTokenControl implements TokenControl {
  readonly #parts: TokenControlParts;

  constructor(parts: TokenControlParts) {
    this.#parts = parts;
  }

  async list(
    principal: Principal,
    page: { readonly parentId: string; readonly after: string; readonly limit: number },
  ): Promise<GrantPage> {
    const { grants } = this.#parts;
    const own = placeOf(principal) ?? NOWHERE;
    if (page.parentId === '') return await grants.page(mayControl(principal) ? '' : own, page);
    const path = await this.#pathOf(page.parentId);
    const isSeen = path !== undefined && (mayControl(principal) || isBelow(path, own));
    if (!isSeen) throw tokenNotFound(page.parentId);
    return await grants.page(path, page);
  }

  async get(principal: Principal, tokenId: string): Promise<PlacedGrant> {
    const placed = await this.#parts.grants.find(grantOf(tokenId));
    if (placed === undefined || !isVisible(principal, placed)) throw tokenNotFound(tokenId);
    return placed;
  }

  isRevoked({ grant }: PlacedGrant): boolean {
    const { revocations, accounts } = this.#parts;
    const { id, user, userId, clientId, signingKeyId, createdAtMs, ancestors } = grant;
    const { callsPerMinute } = grant;
    const own = {
      ...{ tokenId: id, grantId: id, clientId, signingKeyId, callsPerMinute },
      issuedAtMs: createdAtMs,
    };
    const chain = { links: [own, ...ancestors], sessionId: '', userId };
    return !accounts.isActive(user, userId) || revocations.isRevoked(chain);
  }

  async revokeToken(principal: Principal, tokenId: string): Promise<void> {
    const { grants, revocations, apiKeys, clock } = this.#parts;
    const placed = await grants.find(grantOf(tokenId));
    const isOwn = principal.tokenId === tokenId;
    if (
      !mayControl(principal) &&
      !isOwn &&
      (placed === undefined || !isVisible(principal, placed))
    ) {
      throw new DomainError(
        'SCOPE_MISSING',
        'this token did not come from yours; revoking it needs the scope tokens:*:*',
        { metadata: { action: 'tokens', collection: '*', key: '*' } },
      );
    }
    if (apiKeys.find(tokenId) !== undefined) {
      // A key may never expire: only with it gone does the end of the revocation bring nothing back.
      await revocations.revoke({ kind: 'grant', id: tokenId, expiresAtMs: Infinity });
      await apiKeys.delete(tokenId);
      return;
    }
    const isDelegated = placed !== undefined || !isOwn;
    const expiresAtMs = placed?.grant.grantEndsAtMs ?? clock.now() + TOKEN_TTL_MAX_MS;
    await revocations.revoke({ kind: 'token', id: tokenId, expiresAtMs });
    if (isDelegated) await revocations.revoke({ kind: 'grant', id: grantOf(tokenId), expiresAtMs });
  }

  async revoke(target: RevocationTarget): Promise<RevocationPreview> {
    const { revocations, apiKeys } = this.#parts;
    const id = this.#idOf(target);
    const isKey = target.kind === 'grant' && apiKeys.find(id) !== undefined;
    if (target.kind === 'signingKey') await this.#retire(id);
    const [sessionCount, keyCount] = await this.#countOthers(target.kind, id);
    const expiresAtMs = isKey ? Infinity : await this.#endOf(target);
    // First what ends everything at once, then what is counted and tidied.
    await revocations.revoke({ kind: target.kind, id, expiresAtMs });
    const preview = await this.#count(target, id);
    const impact = { ...preview, sessions: sessionCount, apiKeys: keyCount };
    await this.#tidy(target, id);
    return impact;
  }

  /** What a revoked key signed is refused, so that none signs with it any more. */
  async #retire(id: string): Promise<void> {
    const { signingKeys } = this.#parts;
    const key = signingKeys.list().find((one) => one.id === id);
    if (key?.algorithm === 'HS256') {
      throw new DomainError(
        'ARGUMENT_INVALID',
        'this is the secret of the configuration: change --jwt-secret, without --jwt-secret-previous',
      );
    }
    if (key !== undefined && key.endsAtMs === undefined) await signingKeys.rotate(0);
  }

  async #tidy(target: RevocationTarget, id: string): Promise<void> {
    const { apiKeys, sessions } = this.#parts;
    switch (target.kind) {
      case 'grant':
        if (apiKeys.find(id) !== undefined) await apiKeys.delete(id);
        break;
      case 'session':
        await sessions.end(userIdOf(id), id);
        break;
      case 'sessions':
        await sessions.endAll(id);
        break;
      case 'user':
        await sessions.endAll(id);
        await apiKeys.deleteOf(id);
        break;
      case 'all':
        for (const key of apiKeys.list(undefined)) await apiKeys.delete(key.id);
        break;
      case 'client':
      case 'signingKey':
        break;
    }
  }

  async preview(target: RevocationTarget): Promise<RevocationPreview> {
    const id = this.#idOf(target);
    const [sessions, apiKeys] = await this.#countOthers(target.kind, id);
    return { ...(await this.#count(target, id)), sessions, apiKeys };
  }

  async #count(
    target: RevocationTarget,
    id: string,
  ): Promise<Pick<RevocationPreview, 'tokens' | 'clients'>> {
    const clients = new Set<string>();
    let tokens = 0;
    for await (const { grant } of this.#below(target, id)) {
      tokens += 1;
      if (clients.size < CLIENTS_SHOWN) clients.add(grant.clientId);
    }
    return { tokens, clients: [...clients].sort() };
  }

  /** The delegations that a revocation takes down. */
  async *#below({ kind }: RevocationTarget, id: string): AsyncIterable<PlacedGrant> {
    const { grants } = this.#parts;
    const isNamed = NAMED_BY[kind];
    if (kind === 'user' || kind === 'all') {
      yield* grants.below(kind === 'user' ? id : '');
    } else if (kind === 'grant') {
      const path = await this.#pathOf(id);
      if (path !== undefined) yield* grants.below(path);
    } else if (isNamed !== undefined) {
      let taken = NOWHERE;
      for await (const placed of grants.below('')) {
        if (isNamed(placed.grant, id) && !isBelow(placed.path, taken)) taken = placed.path;
        if (isBelow(placed.path, taken)) yield placed;
      }
    }
  }

  /** The place of a delegation or an API key. */
  async #pathOf(id: string): Promise<string | undefined> {
    const apiKey = this.#parts.apiKeys.find(id);
    if (apiKey !== undefined) return `${apiKey.ownerId}.${id}`;
    return (await this.#parts.grants.find(grantOf(id)))?.path;
  }

  async #countOthers(kind: RevocationKind, id: string): Promise<readonly [number, number]> {
    const { sessions, apiKeys, accounts } = this.#parts;
    switch (kind) {
      case 'session':
        return [(await sessions.list(userIdOf(id))).some((one) => one.id === id) ? 1 : 0, 0];
      case 'sessions':
        return [(await sessions.list(id)).length, 0];
      case 'user':
        return [(await sessions.list(id)).length, apiKeys.list(id).length];
      case 'grant':
        return [0, apiKeys.find(id) === undefined ? 0 : 1];
      case 'all': {
        let count = 0;
        for (const [, user] of accounts.records.entries()) {
          count += (await sessions.list(user.id)).length;
        }
        return [count, apiKeys.list(undefined).length];
      }
      default:
        return [0, 0];
    }
  }

  /** Users are named; what they hold names their ids. */
  #idOf({ kind, id }: RevocationTarget): string {
    if (kind === 'grant') return grantOf(id);
    if (kind !== 'user' && kind !== 'sessions') return id;
    const user = this.#parts.accounts.find(id);
    if (user === undefined) throw userNotFound(id);
    return user.id;
  }

  async #endOf({ kind, id }: RevocationTarget): Promise<number> {
    const { grants, clock } = this.#parts;
    const longest = clock.now() + TOKEN_TTL_MAX_MS + DAY_MS;
    if (kind !== 'grant') return longest;
    return (await grants.find(grantOf(id)))?.grant.grantEndsAtMs ?? longest;
  }
}

/** No path. */
const NOWHERE = '-';

/** Revocations that name something of a delegation; those below it fall with it. */
const NAMED_BY: Partial<Record<RevocationKind, (grant: GrantRecord, id: string) => boolean>> = {
  client: ({ clientId }, id) => clientId === id,
  signingKey: ({ signingKeyId }, id) => signingKeyId === id,
};

function mayControl({ scopes }: Principal): boolean {
  return scopes.coversStore('tokens');
}

function isVisible(principal: Principal, { path }: PlacedGrant): boolean {
  const place = placeOf(principal);
  return mayControl(principal) || (place !== undefined && isBelow(path, place));
}

/** Ids of sessions start with the id of their user. */
function userIdOf(sessionId: string): string {
  return sessionId.split('.', 1)[0] ?? '';
}

function tokenNotFound(tokenId: string): DomainError {
  return new DomainError('TOKEN_NOT_FOUND', 'there is no such token, or it is not below yours', {
    metadata: { token: tokenId.slice(0, 128) },
  });
}
