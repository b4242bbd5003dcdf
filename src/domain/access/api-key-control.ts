import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { createTurns } from '../../platform/turns.ts';
import type { Accounts } from './accounts.ts';
import {
  apiKeyNotFound,
  endApiKey,
  type ApiKey,
  type ApiKeyEnvironment,
  type ApiKeys,
  type MadeApiKey,
} from './api-keys.ts';
import type { Principal } from './principal.ts';
import type { Revocations } from './revocations.ts';
import { checkScopeTexts } from './roles.ts';
import { createScopeSet } from './scope-set.ts';
import { demandOver, selfOf } from './user-rules.ts';

/** What is asked for when a key is made. */
export interface ApiKeyRequest {
  /** Empty: the caller. */
  readonly owner: string;
  readonly description: string;
  readonly scopes: readonly string[];
  readonly environment: ApiKeyEnvironment;
  /** Undefined: does not expire. */
  readonly ttlMs: number | undefined;
}

/**
 * API keys for who has signed in: a token that was delegated cannot make itself one that outlives it.
 * Users see and end their own; the scope `keys:*:*` is for those of all.
 */
export interface ApiKeyControl {
  /** SCOPE_MISSING for scopes beyond the caller's or the owner's. */
  create(principal: Principal, request: ApiKeyRequest): Promise<MadeApiKey>;
  /** API_KEY_NOT_FOUND, also for one that the caller may not see. */
  get(principal: Principal, id: string): ApiKey;
  /** By id. `owner` empty: all that the caller may see. */
  list(principal: Principal, owner: string): readonly ApiKey[];
  rotate(principal: Principal, id: string, overlapMs: number | undefined): Promise<MadeApiKey>;
  /** Ends the key and what was delegated with it. */
  revoke(principal: Principal, id: string): Promise<void>;
}

const OVERLAP_MS = 24 * 3_600_000;
/** Changes of one key that may wait for their turn. */
const WAITING_MAX = 16;

/** Creates the control of API keys. */
export function createApiKeyControl(parts: {
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly apiKeys: ApiKeys;
  readonly revocations: Revocations;
}): ApiKeyControl {
  const { clock, accounts, apiKeys, revocations } = parts;

  const turns = createTurns(WAITING_MAX, tooMany);

  function get(principal: Principal, id: string): ApiKey {
    const apiKey = apiKeys.find(id);
    const isSelf = principal.tokenId === id;
    const isOwn = apiKey !== undefined && apiKey.ownerId === ownerIdOf(principal);
    const isSeen = isSelf || isOwn || mayControl(principal);
    if (apiKey === undefined || !isSeen) throw apiKeyNotFound(id);
    return apiKey;
  }

  return {
    get,
    async create(principal, request) {
      const { name: caller } = selfOf(accounts, principal.credential);
      const { scopes, description, environment, ttlMs } = request;
      const owner = request.owner === '' ? caller : request.owner;
      if (owner !== caller && !mayControl(principal)) throw notYours();
      const user = accounts.get(owner);
      checkScopeTexts(scopes);
      const { restrictions } = principal.scopes;
      const asked = createScopeSet([...scopes, ...restrictions]);
      demandOver(principal, asked);
      const granted = createScopeSet(scopes);
      if (!granted.isWithin(accounts.grantedTo(user)) && owner !== caller) throw beyond(owner);
      if (owner !== caller) demandOver(principal, accounts.grantedTo(user));
      const expiresAtMs = ttlMs === undefined ? undefined : clock.now() + ttlMs;
      const spec = { environment, owner, ownerId: user.id, description, expiresAtMs };
      return await apiKeys.create({ ...spec, scopes: asked.texts }, revocations.issueTime());
    },
    list(principal, owner) {
      const own = ownerIdOf(principal) ?? '';
      if (owner === '') return apiKeys.list(mayControl(principal) ? undefined : own);
      if (accounts.find(owner)?.id !== own && !mayControl(principal)) throw notYours();
      return apiKeys.list(accounts.get(owner).id);
    },
    async rotate(principal, id, overlapMs = OVERLAP_MS) {
      selfOf(accounts, principal.credential);
      const apiKey = get(principal, id);
      demandOver(principal, createScopeSet(apiKey.scopes));
      return await turns.run(id, () => apiKeys.rotate(id, overlapMs, revocations.issueTime()));
    },
    async revoke(principal, id) {
      const { kind, impersonator } = principal.credential ?? {};
      const isSelf = principal.tokenId === id;
      if (!isSelf && !mayControl(principal) && (kind !== 'session' || impersonator !== '')) {
        throw notYours();
      }
      get(principal, id);
      await turns.run(id, () => endApiKey({ apiKeys, revocations }, id));
    },
  };
}

/** The user who has signed in itself; what was delegated sees no keys. */
function ownerIdOf({ credential }: Principal): string | undefined {
  const isSignedIn = credential?.kind === 'session' && credential.impersonator === '';
  return isSignedIn ? credential.chain.userId : undefined;
}

function tooMany(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many changes of this key at once; try again', {
    retryAfterMs: 1000,
  });
}

function mayControl({ scopes }: Principal): boolean {
  return scopes.coversStore('keys');
}

function notYours(): DomainError {
  return new DomainError('SCOPE_MISSING', 'keys of other users need the scope keys:*:*', {
    metadata: { action: 'keys', collection: '*', key: '*' },
  });
}

function beyond(owner: string): DomainError {
  return new DomainError('SCOPE_MISSING', `these scopes are beyond the rights of '${owner}'`);
}
