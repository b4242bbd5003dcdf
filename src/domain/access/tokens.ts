import { createHash, createSecretKey, randomUUID, type KeyObject } from 'node:crypto';

import { jwtVerify, SignJWT, errors as joseErrors, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Principal } from './principal.ts';
import { createScopeSet } from './scope-set.ts';

/** What a token says. */
export interface TokenClaims {
  readonly subject: string;
  readonly scopes: readonly string[];
  /** Unix milliseconds; written with a precision of one second. */
  readonly expiresAtMs: number;
  /** Refreshed tokens end no later than this. Unix milliseconds. */
  readonly grantEndsAtMs: number;
  /** Made by signing in: what it delegates may outlive it. */
  readonly isSession?: boolean;
}

/** A token, and the principal it makes. */
export interface IssuedToken {
  readonly token: string;
  readonly principal: Principal;
}

/** A verified token. */
export interface VerifiedToken {
  readonly principal: Principal;
  readonly grantEndsAtMs: number;
  readonly isSession: boolean;
}

/** Signs and verifies bearer tokens: JWT (RFC 7519) with HMAC-SHA-256, after RFC 8725. */
export interface Tokens {
  issue(claims: TokenClaims): Promise<IssuedToken>;
  /** CREDENTIAL_INVALID or CREDENTIAL_EXPIRED. Does not know of revocations. */
  verify(token: string): Promise<VerifiedToken>;
}

const ALGORITHM = 'HS256';
const MS_PER_SECOND = 1000;
const CACHED_MAX = 10_000;
/** A longer token cannot be one of ours. */
const TOKEN_CHARS_MAX = 256 * 1024;

/** Creates the tokens of one secret. */
export function createTokens({
  secret,
  clock,
}: {
  readonly secret: string;
  readonly clock: Clock;
}): Tokens {
  const key = createSecretKey(secret, 'utf8');
  // By hash, so that no token stays in memory as text.
  const verified = new LRUCache<string, VerifiedToken>({ max: CACHED_MAX });
  return {
    issue: (claims) => issue(key, clock, claims),
    async verify(token) {
      if (token.length > TOKEN_CHARS_MAX) throw invalid(undefined);
      const name = createHash('sha256').update(token).digest('base64');
      const known = verified.get(name);
      if (known !== undefined) {
        if (known.principal.expiresAtMs > clock.now()) return known;
        verified.delete(name);
        throw expired();
      }
      const found = await verifyAnew(key, clock, token);
      verified.set(name, found);
      return found;
    },
  };
}

async function issue(key: KeyObject, clock: Clock, claims: TokenClaims): Promise<IssuedToken> {
  const { subject, scopes } = claims;
  const tokenId = randomUUID();
  const expires = Math.floor(claims.expiresAtMs / MS_PER_SECOND);
  const payload = {
    scopes: [...scopes],
    grant_exp: Math.floor(claims.grantEndsAtMs / MS_PER_SECOND),
    ...(claims.isSession === true ? { session: true } : {}),
  };
  const token = await new SignJWT(payload)
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(subject)
    .setJti(tokenId)
    .setIssuedAt(Math.floor(clock.now() / MS_PER_SECOND))
    .setExpirationTime(expires)
    .sign(key);
  const principal: Principal = {
    ...{ kind: 'token', subject, tokenId, expiresAtMs: expires * MS_PER_SECOND },
    scopes: createScopeSet(scopes),
  };
  return { token, principal };
}

async function verifyAnew(key: KeyObject, clock: Clock, token: string): Promise<VerifiedToken> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      typ: 'JWT',
      currentDate: new Date(clock.now()),
      requiredClaims: ['sub', 'jti', 'exp', 'scopes'],
    });
    return fromPayload(payload);
  } catch (error) {
    if (error instanceof joseErrors.JWTExpired) throw expired();
    throw invalid(error);
  }
}

function fromPayload(payload: JWTPayload): VerifiedToken {
  const { sub: subject = '', jti: tokenId = '', exp = 0, scopes } = payload;
  const grantEnds = payload['grant_exp'];
  const texts = Array.isArray(scopes) ? scopes : [];
  const isSound = subject !== '' && tokenId !== '' && texts.every((one) => typeof one === 'string');
  if (!isSound) throw invalid(undefined);
  const expiresAtMs = exp * MS_PER_SECOND;
  return {
    principal: {
      ...{ kind: 'token', subject, tokenId, expiresAtMs },
      scopes: createScopeSet(texts.map(String)),
    },
    isSession: payload['session'] === true,
    grantEndsAtMs: typeof grantEnds === 'number' ? grantEnds * MS_PER_SECOND : expiresAtMs,
  };
}

function expired(): DomainError {
  return new DomainError('CREDENTIAL_EXPIRED', 'the token has expired; log in again');
}

/** Says no more than that: what is wrong with a forged token is its forger's business. */
function invalid(cause: unknown): DomainError {
  return new DomainError('CREDENTIAL_INVALID', 'the token is not valid; log in again', { cause });
}
