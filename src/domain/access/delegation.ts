import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { GrantQuota } from './grant-quota.ts';
import { pathOf, type GrantRecord, type Grants } from './grants.ts';
import type { Credential, Principal } from './principal.ts';
import { revoked, type Revocable, type Revocations } from './revocations.ts';
import { checkScopeTexts } from './roles.ts';
import { ADMINISTRATOR, parseScope } from './scope.ts';
import { grantOf, type SignedToken, type Tokens } from './tokens.ts';

/** What is asked for when a token is delegated. */
export interface DelegationRequest {
  /** The subject of it; absent: the user on whose authority it stands. */
  readonly clientId: string | undefined;
  readonly scopes: readonly string[];
  /** Milliseconds; absent: an hour. */
  readonly ttlMs: number | undefined;
  /** For how long it can be renewed, from now on; absent, or less than its life: not beyond that. Milliseconds. */
  readonly renewableMs?: number | undefined;
  /** Calls per minute with it; 0: no bound of its own. */
  readonly callsPerMinute: number;
}

/** Tokens made with tokens: each grants what the one before it does, or less, and falls with it. */
export interface Delegation {
  /**
   * SCOPE_MISSING when a scope is beyond the caller's; ARGUMENT_INVALID for a malformed one; QUOTA_EXCEEDED
   * when too many tokens of the user live.
   */
  delegate(principal: Principal, request: DelegationRequest): Promise<SignedToken>;
  /**
   * A fresh token of the same delegation; the old one ends, what it has delegated goes on. SCOPE_MISSING
   * for administrators, sign-ins and API keys; CREDENTIAL_EXPIRED when the delegation has ended.
   */
  renew(principal: Principal, ttlMs: number | undefined): Promise<SignedToken>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The longest life of any token. */
export const TOKEN_TTL_MAX_MS: number = 366 * DAY_MS;
/** The life of a delegated or renewed token that asks for none. */
export const TOKEN_TTL_MS: number = HOUR_MS;
/** Tokens made with tokens made with tokens, so many times. */
export const DEPTH_MAX = 8;

/** What delegation needs. */
export interface DelegationParts {
  readonly clock: Clock;
  readonly tokens: Tokens;
  readonly grants: Grants;
  readonly quota: GrantQuota;
  readonly revocations: Revocations;
  /** The only user who may give `*:*:*` away. */
  readonly rootUser: string;
}

/** Creates the domain of delegating. */
export function createDelegation(parts: DelegationParts): Delegation {
  const { clock, tokens, grants, quota, revocations, rootUser } = parts;
  return {
    async delegate(principal, request) {
      const credential = credentialOf(principal);
      const scopes = narrow(principal, request.scopes, rootUser);
      const { ttlMs = TOKEN_TTL_MS, renewableMs = 0 } = request;
      const ancestors = ancestorsOf(credential);
      if (ancestors.length >= DEPTH_MAX) throw tooDeep();
      const nowMs = clock.now();
      const endMs = credential.kind === 'session' ? Infinity : credential.grantEndsAtMs;
      const expiresAtMs = Math.min(nowMs + Math.min(ttlMs, TOKEN_TTL_MAX_MS), endMs);
      const renewableUntilMs = nowMs + Math.min(renewableMs, TOKEN_TTL_MAX_MS);
      const grantEndsAtMs = Math.min(Math.max(expiresAtMs, renewableUntilMs), endMs);
      const { user, chain } = credential;
      const { clientId: subject = user, callsPerMinute } = request;
      await quota.take(user, chain.userId);
      const signed = await tokens.issue({
        ...{ kind: 'delegated', subject, scopes, user, userId: chain.userId },
        ...{ sessionId: '', signInId: chain.signInId, ancestors, impersonator: '' },
        ...{ expiresAtMs, grantEndsAtMs, callsPerMinute },
      });
      await grants.add(toRecord(signed, ancestors), pathOf(chain));
      return signed;
    },
    async renew(principal, ttlMs = TOKEN_TTL_MS) {
      const credential = credentialOf(principal);
      if (credential.kind !== 'delegated' || principal.scopes.isAdmin) {
        throw notRenewable(principal);
      }
      const { grantEndsAtMs, chain, user } = credential;
      const expiresAtMs = Math.min(clock.now() + ttlMs, grantEndsAtMs);
      if (expiresAtMs <= clock.now()) {
        throw new DomainError('CREDENTIAL_EXPIRED', 'the grant has ended; ask for a new token');
      }
      const { tokenId, expiresAtMs: oldEndMs, subject } = principal;
      // First the end of the old, so that a crash in between leaves none too many.
      const isOurs = await revocations.revoke({
        kind: 'token',
        id: tokenId,
        expiresAtMs: oldEndMs,
      });
      if (!isOurs) throw revoked();
      const [own, ...ancestors] = chain.links;
      const callsPerMinute = own?.callsPerMinute ?? 0;
      const signed = await tokens.issue({
        ...{ kind: 'delegated', subject, scopes: credential.given, user },
        ...{ userId: chain.userId, sessionId: '', signInId: chain.signInId, ancestors },
        ...{ renews: own?.tokenId, madeAtMs: own?.issuedAtMs, impersonator: '' },
        ...{ expiresAtMs, grantEndsAtMs, callsPerMinute },
      });
      await grants.moveEnd(grantOf(tokenId), expiresAtMs);
      return signed;
    },
  };
}

function credentialOf({ credential }: Principal): Credential {
  if (credential !== undefined && credential.impersonator !== '') throw actsAsAnother();
  if (credential !== undefined) return credential;
  throw new DomainError('CREDENTIAL_MISSING', 'this needs a credential; log in first');
}

/** What a delegated token names as where it came from. A sign-in is no part of it and may end first. */
function ancestorsOf({ kind, chain }: Credential): readonly Revocable[] {
  return kind === 'session' ? [] : chain.links;
}

/** The scopes of a child: no more than its parent's, and all that takes away from it. */
function narrow(
  { scopes, credential }: Principal,
  asked: readonly string[],
  rootUser: string,
): readonly string[] {
  checkScopeTexts(asked);
  const isRoot = credential?.kind === 'session' && credential.user === rootUser;
  for (const scope of asked.map(parseScope)) {
    if (scope.text === ADMINISTRATOR && !isRoot) {
      throw beyond(
        scope.text,
        'only the root user may give it away; ask for narrower scopes, such as admin:*:*',
      );
    }
    if (!scopes.includes(scope)) {
      throw beyond(scope.text, 'your token does not hold it; ask for scopes that yours includes');
    }
  }
  const all = [...new Set([...asked, ...scopes.restrictions])];
  checkScopeTexts(all);
  return all;
}

function toRecord({ verified }: SignedToken, ancestors: readonly Revocable[]): GrantRecord {
  const { links, subject: clientId, user, userId, signInId, scopes } = verified;
  const { expiresAtMs, grantEndsAtMs, callsPerMinute } = verified;
  const [own] = links;
  return {
    ...{ id: own?.grantId ?? '', clientId, user, userId, signInId, scopes, callsPerMinute },
    ...{ parentId: ancestors[0]?.grantId ?? '', depth: ancestors.length + 1 },
    ...{ createdAtMs: own?.issuedAtMs ?? 0, expiresAtMs, grantEndsAtMs },
    ...{ signingKeyId: own?.signingKeyId ?? '', ancestors },
  };
}

function beyond(scope: string, fix: string): DomainError {
  return new DomainError('SCOPE_MISSING', `the scope '${scope}' cannot be delegated: ${fix}`, {
    metadata: { scope },
  });
}

/** What is delegated would outlive the acting. */
function actsAsAnother(): DomainError {
  return new DomainError('SCOPE_MISSING', 'who acts as another user delegates nothing for it');
}

function tooDeep(): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `this token is ${String(DEPTH_MAX)} delegations deep, the most there may be; delegate with one nearer to the user`,
  );
}

function notRenewable({ scopes, credential }: Principal): DomainError {
  const problem = scopes.isAdmin
    ? "tokens with '*:*:*' are not refreshed; log in again, or delegate a narrower token"
    : credential?.kind === 'session'
      ? 'a token of a sign-in is not renewed; use the refresh token of the session'
      : 'an API key is not renewed; rotate it';
  const scope = scopes.isAdmin ? { scope: ADMINISTRATOR } : {};
  return new DomainError('SCOPE_MISSING', problem, { metadata: scope });
}
