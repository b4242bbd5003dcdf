import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Accounts } from './accounts.ts';
import { endApiKey, type ApiKeys } from './api-keys.ts';
import { TOKEN_TTL_MAX_MS } from './delegation.ts';
import {
  chainOf,
  isBelow,
  placeOf,
  type GrantPage,
  type GrantRecord,
  type Grants,
  type PlacedGrant,
} from './grants.ts';
import type { Principal } from './principal.ts';
import type { RevocationKind, Revocations } from './revocations.ts';
import { isSessionId, sessionPrefixOf } from './session-id.ts';
import type { Sessions } from './sessions.ts';
import type { SigningKeys } from './signing-keys.ts';
import { grantOf } from './tokens.ts';

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
  /**
   * Revokes by any kind, and counts everything it concerns, revoked before or not. The scope `tokens:*:*`
   * is demanded by the protocol.
   */
  revoke(target: RevocationTarget): Promise<RevocationPreview>;
  /** What it would take down of what is not revoked yet. */
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
    return !accounts.isActive(grant.user, grant.userId) || revocations.isRevoked(chainOf(grant));
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
      await endApiKey({ apiKeys, revocations }, tokenId);
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
    const isKey = target.kind === 'grant' && apiKeys.endOf(id) !== undefined;
    if (target.kind === 'signingKey') await this.#retire(id);
    const expiresAtMs = isKey ? Infinity : await this.#endOf(target);
    // First what ends everything at once, then what is counted and tidied.
    await revocations.revoke({ kind: target.kind, id, expiresAtMs });
    const impact = await this.#impactOf(target, id, () => true);
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
        if (apiKeys.endOf(id) !== undefined) await apiKeys.delete(id);
        break;
      case 'session':
        await sessions.dropRevoked(id);
        break;
      case 'sessions':
        await sessions.dropRevoked(sessionPrefixOf(id));
        break;
      case 'user':
        await sessions.dropRevoked(sessionPrefixOf(id));
        await apiKeys.deleteOf(id);
        break;
      case 'all':
        await sessions.dropRevoked('');
        for (const key of apiKeys.list(undefined)) await apiKeys.delete(key.id);
        break;
      case 'client':
      case 'signingKey':
        break;
    }
  }

  async preview(target: RevocationTarget): Promise<RevocationPreview> {
    return await this.#impactOf(target, this.#idOf(target), (placed) => !this.isRevoked(placed));
  }

  async #impactOf(
    target: RevocationTarget,
    id: string,
    isCounted: (placed: PlacedGrant) => boolean,
  ): Promise<RevocationPreview> {
    const sessions = await this.#countSessions(target.kind, id);
    const apiKeys = this.#countKeys(target.kind, id);
    const clients = new Set<string>();
    let tokens = 0;
    for await (const placed of this.#below(target, id)) {
      if (!isCounted(placed)) continue;
      tokens += 1;
      if (clients.size < CLIENTS_SHOWN) clients.add(placed.grant.clientId);
    }
    return { tokens, sessions, apiKeys, clients: [...clients].sort() };
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

  async #countSessions(kind: RevocationKind, id: string): Promise<number> {
    const { sessions } = this.#parts;
    switch (kind) {
      case 'session':
        return isSessionId(id) ? await sessions.count(id) : 0;
      case 'sessions':
      case 'user':
        return await sessions.count(sessionPrefixOf(id));
      case 'all':
        return await sessions.count('');
      default:
        return 0;
    }
  }

  #countKeys(kind: RevocationKind, id: string): number {
    const { apiKeys } = this.#parts;
    switch (kind) {
      case 'user':
        return apiKeys.list(id).length;
      case 'grant':
        return apiKeys.endOf(id) === undefined ? 0 : 1;
      case 'all':
        return apiKeys.list(undefined).length;
      default:
        return 0;
    }
  }

  /** Users are named; what they hold names their ids. */
  #idOf({ kind, id }: RevocationTarget): string {
    if (kind === 'grant') return grantOf(id);
    if (kind !== 'user' && kind !== 'sessions') return id;
    return this.#parts.accounts.get(id).id;
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

function tokenNotFound(tokenId: string): DomainError {
  return new DomainError('TOKEN_NOT_FOUND', 'there is no such token, or it is not below yours', {
    metadata: { token: tokenId.slice(0, 128) },
  });
}
