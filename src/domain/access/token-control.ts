import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Accounts } from './accounts.ts';
import { endApiKey, type ApiKey, type ApiKeys } from './api-keys.ts';
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
import { hasTime, type RevocationKind, type Revocations } from './revocations.ts';
import { isSessionId, sessionPrefixOf } from './session-id.ts';
import type { Sessions } from './sessions.ts';
import type { SigningKeys } from './signing-keys.ts';
import { grantOf } from './tokens.ts';

/** What is to be revoked: a kind and the id of it; for users, the name. */
export interface RevocationTarget {
  readonly kind: Exclude<RevocationKind, 'token' | 'signIn'>;
  readonly id: string;
  /** Only what was made before this; undefined: until now. Unix milliseconds. */
  readonly beforeMs?: number | undefined;
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
    const isOwn = principal.tokenId === tokenId;
    const sessionId = isOwn ? sessionOf(principal) : undefined;
    if (sessionId !== undefined) {
      // It would give the next token.
      await this.revoke({ kind: 'session', id: sessionId });
      return;
    }
    const placed = await grants.find(grantOf(tokenId));
    const isSeen = placed !== undefined && isVisible(principal, placed);
    if (!isOwn && !isSeen && !mayControl(principal)) throw notBelow();
    if (apiKeys.find(tokenId) !== undefined) {
      await endApiKey({ apiKeys, revocations }, tokenId);
      return;
    }
    const expiresAtMs = placed?.grant.grantEndsAtMs ?? clock.now() + TOKEN_TTL_MAX_MS;
    await revocations.revoke({ kind: 'token', id: tokenId, expiresAtMs });
    await revocations.revoke({ kind: 'grant', id: grantOf(tokenId), expiresAtMs });
  }

  async revoke(target: RevocationTarget): Promise<RevocationPreview> {
    const { revocations, apiKeys } = this.#parts;
    const { kind, beforeMs } = target;
    this.#checkTime(target);
    const id = this.#idOf(target);
    const isKey = kind === 'grant' && apiKeys.endOf(id) !== undefined;
    if (kind === 'signingKey') await this.#retire(id);
    const expiresAtMs = isKey ? Infinity : await this.#endOf(target);
    // First what ends everything at once, then what is counted and tidied.
    await revocations.revoke({ kind, id, expiresAtMs, beforeMs });
    if (kind === 'session') await revocations.revoke({ kind: 'signIn', id, expiresAtMs });
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

  #checkTime({ kind, beforeMs }: RevocationTarget): void {
    if (beforeMs === undefined) return;
    const problem = !hasTime(kind)
      ? 'is for what holds many: a user, its sessions, a client, or everything; leave it out'
      : 'has not passed yet; leave it out to revoke until now';
    if (hasTime(kind) && beforeMs <= this.#parts.clock.now()) return;
    throw new DomainError('ARGUMENT_INVALID', `before_time ${problem}`, {
      violations: [{ field: 'beforeTime', description: problem }],
    });
  }

  async #tidy({ kind, beforeMs }: RevocationTarget, id: string): Promise<void> {
    const { apiKeys, sessions } = this.#parts;
    switch (kind) {
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
        await this.#dropKeys(id, beforeMs);
        break;
      case 'all':
        await sessions.dropRevoked('');
        await this.#dropKeys(undefined, beforeMs);
        break;
      case 'client':
      case 'signingKey':
        break;
    }
  }

  async #dropKeys(ownerId: string | undefined, beforeMs: number | undefined): Promise<void> {
    const { apiKeys } = this.#parts;
    for (const { id } of keysOf(apiKeys, ownerId, beforeMs)) await apiKeys.delete(id);
  }

  async preview(target: RevocationTarget): Promise<RevocationPreview> {
    this.#checkTime(target);
    return await this.#impactOf(target, this.#idOf(target), (placed) => !this.isRevoked(placed));
  }

  async #impactOf(
    target: RevocationTarget,
    id: string,
    isCounted: (placed: PlacedGrant) => boolean,
  ): Promise<RevocationPreview> {
    const sessions = await this.#countSessions(target, id);
    const apiKeys = this.#countKeys(target, id);
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
  async *#below(
    { kind, beforeMs = Infinity }: RevocationTarget,
    id: string,
  ): AsyncIterable<PlacedGrant> {
    const { grants } = this.#parts;
    const isNamed = NAMED_BY[kind];
    if (kind === 'user' || kind === 'all') {
      for await (const placed of grants.below(kind === 'user' ? id : '')) {
        if (originOf(placed.grant) < beforeMs) yield placed;
      }
    } else if (kind === 'grant') {
      const path = await this.#pathOf(id);
      if (path !== undefined) yield* grants.below(path);
    } else if (isNamed !== undefined) {
      yield* treesOf(
        grants.below(''),
        (grant) => isNamed(grant, id) && grant.createdAtMs < beforeMs,
      );
    }
  }

  /** The place of a delegation or an API key. */
  async #pathOf(id: string): Promise<string | undefined> {
    const apiKey = this.#parts.apiKeys.find(id);
    if (apiKey !== undefined) return `${apiKey.ownerId}.${id}`;
    return (await this.#parts.grants.find(grantOf(id)))?.path;
  }

  async #countSessions({ kind, beforeMs }: RevocationTarget, id: string): Promise<number> {
    const { sessions } = this.#parts;
    switch (kind) {
      case 'session':
        return isSessionId(id) ? await sessions.count(id) : 0;
      case 'sessions':
      case 'user':
        return await sessions.count(sessionPrefixOf(id), beforeMs);
      case 'all':
        return await sessions.count('', beforeMs);
      default:
        return 0;
    }
  }

  #countKeys({ kind, beforeMs }: RevocationTarget, id: string): number {
    const { apiKeys } = this.#parts;
    switch (kind) {
      case 'user':
        return keysOf(apiKeys, id, beforeMs).length;
      case 'grant':
        return apiKeys.endOf(id) === undefined ? 0 : 1;
      case 'all':
        return keysOf(apiKeys, undefined, beforeMs).length;
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
  session: ({ signInId }, id) => signInId === id,
  client: ({ clientId }, id) => clientId === id,
  signingKey: ({ signingKeyId }, id) => signingKeyId === id,
};

/** Those that are meant, and everything below them. */
async function* treesOf(
  all: AsyncIterable<PlacedGrant>,
  isMeant: (grant: GrantRecord) => boolean,
): AsyncIterable<PlacedGrant> {
  let taken = NOWHERE;
  for await (const placed of all) {
    if (!isBelow(placed.path, taken) && isMeant(placed.grant)) taken = placed.path;
    if (isBelow(placed.path, taken)) yield placed;
  }
}

/** The session of who has signed in itself. */
function sessionOf({ credential }: Principal): string | undefined {
  const isSignedIn = credential?.kind === 'session' && credential.impersonator === '';
  return isSignedIn ? credential.chain.sessionId : undefined;
}

function notBelow(): DomainError {
  return new DomainError(
    'SCOPE_MISSING',
    'this token did not come from yours; revoking it needs the scope tokens:*:*',
    { metadata: { action: 'tokens', collection: '*', key: '*' } },
  );
}

/** When the first of its line was made, which revocations of a user look at. */
function originOf({ ancestors, createdAtMs }: GrantRecord): number {
  return ancestors.at(-1)?.issuedAtMs ?? createdAtMs;
}

function keysOf(
  apiKeys: ApiKeys,
  ownerId: string | undefined,
  beforeMs = Infinity,
): readonly ApiKey[] {
  return apiKeys.list(ownerId).filter(({ createdAtMs }) => createdAtMs < beforeMs);
}

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
