import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf } from '../../platform/secrets.ts';
import type { Accounts } from './accounts.ts';
import type { ApiKey, ApiKeys } from './api-keys.ts';
import { ANONYMOUS, type Credential, type Principal } from './principal.ts';
import { revoked, type Revocable, type Revocations } from './revocations.ts';
import { createScopeSet, type ScopeSet } from './scope-set.ts';
import { userIdOf } from './session-id.ts';
import type { SigningKeys } from './signing-keys.ts';
import { expired, invalid, type Tokens, type VerifiedToken } from './tokens.ts';

/** What a caller shows to prove who it is. */
export interface Proof {
  /** The `authorization` header. */
  readonly authorization: string | undefined;
  /** The `x-api-key` header. */
  readonly apiKey: string | undefined;
}

/** Turns a proof into a principal. */
export interface Authenticator {
  /**
   * ANONYMOUS without a proof. CREDENTIAL_INVALID, CREDENTIAL_EXPIRED or CREDENTIAL_REVOKED for a bad
   * one, so that a caller with a broken credential is never mistaken for one without. ENGINE_UNAVAILABLE for
   * one that may be good or bad: this node is out of step with what others made and revoked.
   */
  authenticate(proof: Proof): Promise<Principal>;
  /** The same for one that is shown and not used: of an API key it does not say that it was. */
  identify(proof: Proof): Promise<Principal>;
  /** The principal of a token that was just made or shown. */
  principalOf(token: VerifiedToken): Principal;
  /** Why a principal of a call that still runs may not go on; undefined when it may. Cheap. */
  lapseOf(principal: Principal): CredentialLapse | undefined;
}

/** How a credential ends while it is used; `outOfStep`: it is not known here whether it was revoked. */
export type CredentialLapse = 'expired' | 'revoked' | 'outOfStep';

/** What authentication asks. */
export interface AuthenticatorParts {
  readonly clock: Clock;
  readonly tokens: Tokens;
  readonly signingKeys: SigningKeys;
  readonly accounts: Accounts;
  readonly revocations: Revocations;
  readonly apiKeys: ApiKeys;
  /** False: what others changed may not be known here, so that nobody is let in. */
  readonly isCurrent: () => boolean;
  /** What others changed until now is known then. ENGINE_UNAVAILABLE. */
  readonly catchUp: () => Promise<void>;
}

const BEARER = /^bearer +(\S+) *$/i;
const CACHED_MAX = 10_000;

/** Creates the authentication of a server. */
export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  return new CredentialAuthenticator(parts);
}

class CredentialAuthenticator implements Authenticator {
  readonly #parts: AuthenticatorParts;
  /** By hash, so that no token stays in memory as text. */
  readonly #verified = new LRUCache<string, Principal>({ max: CACHED_MAX });
  readonly #ofKeys = new WeakMap<ApiKey, Principal>();

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  async authenticate(proof: Proof): Promise<Principal> {
    const principal = await this.identify(proof);
    if (principal.credential?.kind === 'apiKey') this.#parts.apiKeys.touch(principal.tokenId);
    return principal;
  }

  async identify({ authorization, apiKey }: Proof): Promise<Principal> {
    if (authorization === undefined && apiKey === undefined) return ANONYMOUS;
    const text = authorization === undefined ? apiKey : BEARER.exec(authorization)?.[1];
    if (text === undefined) throw notBearer();
    if (authorization !== undefined && apiKey !== undefined && apiKey !== text) throw twoProofs();
    const isKey = text.startsWith('mk_');
    const principal = isKey ? await this.#ofApiKey(text) : await this.#ofToken(text);
    // Its user may just have been made elsewhere.
    if (!this.#isUserActive(principal)) await this.#parts.catchUp();
    const lapse = this.lapseOf(principal);
    if (lapse !== undefined) throw lapsed(lapse);
    return principal;
  }

  principalOf(token: VerifiedToken): Principal {
    const { accounts } = this.#parts;
    const { kind, links, user, userId, sessionId, signInId, impersonator } = token;
    const credential: Credential = {
      ...{ kind, user, impersonator, chain: { links, sessionId, signInId, userId } },
      ...{ grantEndsAtMs: token.grantEndsAtMs, given: token.scopes },
    };
    const { subject, expiresAtMs } = token;
    const said = parseScopes(token.scopes);
    // What a session may do is what its users may do now; all else is bounded by what it was given.
    const bound = kind === 'session' ? undefined : said;
    const held = [() => accounts.scopesOf(user, userId)];
    if (impersonator !== '') held.push(() => accounts.scopesOf(impersonator, userIdOf(sessionId)));
    const scopes = createLiveScopes(held, bound);
    const who = { subject, tokenId: links[0]?.tokenId ?? '', expiresAtMs };
    return this.#toPrincipal(who, credential, scopes);
  }

  lapseOf({ credential, expiresAtMs, tokenId }: Principal): CredentialLapse | undefined {
    if (credential === undefined) return undefined;
    const { revocations, apiKeys, clock, isCurrent } = this.#parts;
    if (!isCurrent()) return 'outOfStep';
    const { chain, kind } = credential;
    if (revocations.isRevoked(chain) || !this.#isUserActive({ credential })) return 'revoked';
    if (kind !== 'apiKey') return this.#hasEnded(credential, expiresAtMs) ? 'expired' : undefined;
    const endMs = apiKeys.endOf(tokenId);
    if (endMs === undefined) return 'revoked';
    return endMs <= clock.now() ? 'expired' : undefined;
  }

  /** The user, and who acts as the user. */
  #isUserActive({ credential }: Pick<Principal, 'credential'>): boolean {
    if (credential === undefined) return true;
    const { accounts } = this.#parts;
    const { user, chain, impersonator } = credential;
    if (!accounts.isActive(user, chain.userId)) return false;
    return impersonator === '' || accounts.isActive(impersonator, userIdOf(chain.sessionId));
  }

  /** By its own time, or because its key is not taken any more. */
  #hasEnded({ chain }: Credential, expiresAtMs: number): boolean {
    const { clock, signingKeys } = this.#parts;
    const keyId = chain.links[0]?.signingKeyId ?? '';
    return expiresAtMs <= clock.now() || signingKeys.verifier(keyId) === undefined;
  }

  async #ofToken(token: string): Promise<Principal> {
    const name = hashOf(token);
    const known = this.#verified.get(name);
    if (known !== undefined && known.expiresAtMs > this.#parts.clock.now()) return known;
    this.#verified.delete(name);
    const principal = this.principalOf(await this.#parts.tokens.verify(token));
    this.#verified.set(name, principal);
    return principal;
  }

  async #ofApiKey(text: string): Promise<Principal> {
    const { apiKeys, accounts } = this.#parts;
    const apiKey = await apiKeys.verify(text);
    if (apiKey === undefined) throw invalid(undefined);
    const known = this.#ofKeys.get(apiKey);
    if (known !== undefined) return known;
    const { owner, ownerId, expiresAtMs = Infinity } = apiKey;
    const credential: Credential = {
      ...{ kind: 'apiKey', user: owner, impersonator: '', given: apiKey.scopes },
      grantEndsAtMs: expiresAtMs,
      chain: { links: [linkOf(apiKey)], sessionId: '', signInId: '', userId: ownerId },
    };
    const held = [() => accounts.scopesOf(owner, ownerId)];
    const scopes = createLiveScopes(held, parseScopes(apiKey.scopes));
    const who = { subject: owner, tokenId: apiKey.id, expiresAtMs };
    const principal = this.#toPrincipal(who, credential, scopes);
    this.#ofKeys.set(apiKey, principal);
    return principal;
  }

  #toPrincipal(
    who: Pick<Principal, 'subject' | 'tokenId' | 'expiresAtMs'>,
    credential: Credential,
    scopes: () => ScopeSet,
  ): Principal {
    const { accounts } = this.#parts;
    return {
      ...{ kind: 'token', credential },
      ...who,
      get scopes() {
        return scopes();
      },
      get mustEnrol() {
        const user = accounts.find(credential.user);
        return user !== undefined && accounts.mustEnrol(user);
      },
    };
  }
}

function linkOf({ id, createdAtMs }: ApiKey): Revocable {
  return {
    ...{ tokenId: id, grantId: id, clientId: '', signingKeyId: '', issuedAtMs: createdAtMs },
    callsPerMinute: 0,
  };
}

/**
 * What users may do now, bounded by what the credential was given. Computed anew when one of them changes:
 * a set of scopes that changes is another set.
 */
function createLiveScopes(
  held: readonly (() => ScopeSet)[],
  bound: ScopeSet | undefined,
): () => ScopeSet {
  let last: { readonly now: readonly ScopeSet[]; readonly all: ScopeSet } | undefined;
  return () => {
    const now = held.map((one) => one());
    if (last === undefined || now.some((one, at) => one !== last?.now[at])) {
      const sets = bound === undefined ? now : [...now, bound];
      last = { now, all: sets.reduce(meetOf) };
    }
    return last.all;
  };
}

function meetOf(a: ScopeSet, b: ScopeSet): ScopeSet {
  // The administrator bounds nothing.
  return a.isUnbounded ? b : a.meet(b);
}

function parseScopes(texts: readonly string[]): ScopeSet {
  try {
    return createScopeSet(texts);
  } catch (error) {
    throw invalid(error);
  }
}

/** CREDENTIAL_EXPIRED, CREDENTIAL_REVOKED, or ENGINE_UNAVAILABLE. */
export function lapsed(lapse: CredentialLapse): DomainError {
  if (lapse === 'expired') return expired();
  if (lapse === 'revoked') return revoked();
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    'this node does not know whether credentials were revoked: it is out of step with the log; try again, or another node',
  );
}

function notBearer(): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    'the authorization header is not of the form `Bearer <token>`',
  );
}

function twoProofs(): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    'the authorization header and the x-api-key header prove different callers; send one of them',
  );
}
