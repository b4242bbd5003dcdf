import { randomUUID } from 'node:crypto';

import { errors as joseErrors, jwtVerify, SignJWT, type JWTPayload } from 'jose';

import { DomainError } from '../../errors/domain-error.ts';
import { isAboutCredential } from '../../errors/reason.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Revocable } from './revocations.ts';
import { TOKEN_ALGORITHMS, type SigningKeys } from './signing-keys.ts';

/** What a token says. */
export interface TokenClaims {
  readonly kind: 'session' | 'delegated';
  /** The user of a session; the client of a delegated token. */
  readonly subject: string;
  readonly scopes: readonly string[];
  /** The user on whose authority it stands, and its id. */
  readonly user: string;
  readonly userId: string;
  /** Empty: delegated. */
  readonly sessionId: string;
  /** The sign-in that it, or the first of what it was delegated with, came from; empty: an API key. */
  readonly signInId: string;
  /** What it was delegated with: the nearest first. */
  readonly ancestors: readonly Revocable[];
  /** The id of the token that it renews; undefined: it is a new one. */
  readonly renews?: string | undefined;
  /** When its sign-in or delegation was made, which revocations look at; undefined: now. Unix milliseconds. */
  readonly madeAtMs?: number | undefined;
  /** Unix milliseconds; written with a precision of one second. */
  readonly expiresAtMs: number;
  /** Renewed tokens end no later than this. Unix milliseconds. */
  readonly grantEndsAtMs: number;
  /** Who acts as the user; empty: the user itself. */
  readonly impersonator: string;
  /** With it and all that it delegates; 0: no bound of its own. */
  readonly callsPerMinute: number;
}

/** A verified token: what it says, and what revocations need to know of it. */
export interface VerifiedToken extends Omit<TokenClaims, 'renews' | 'madeAtMs' | 'ancestors'> {
  /** The token first, then what it was delegated with. */
  readonly links: readonly Revocable[];
}

/** A token as it is handed out. */
export interface SignedToken {
  readonly token: string;
  readonly verified: VerifiedToken;
}

/**
 * Signs and verifies access tokens: JWT (RFC 7519) after RFC 9068 and RFC 8725. The type, the issuer, the
 * audience, the key and its one algorithm must all be ours; keys named or carried by a token are not
 * looked at.
 */
export interface Tokens {
  issue(claims: TokenClaims): Promise<SignedToken>;
  /**
   * CREDENTIAL_INVALID or CREDENTIAL_EXPIRED; ENGINE_UNAVAILABLE when its key is not known here and may have been made
   * elsewhere. Does not know of revocations.
   */
  verify(token: string): Promise<VerifiedToken>;
}

/** What tokens are made with. */
export interface TokensOptions {
  readonly keys: SigningKeys;
  readonly clock: Clock;
  /** `iss` and `aud`. */
  readonly issuer: string;
  readonly audience: string;
  /** A time after every revocation so far. */
  readonly issueTime: () => number;
}

const TYPE = 'at+jwt';
const MS_PER_SECOND = 1000;
/** The compact form (RFC 7515 section 3.1): decoders take more, and one token must have one text. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** Between the id of a delegation and the number of a renewal. */
const RENEWAL = '.';

/** Creates the tokens of one key ring. */
export function createTokens(options: TokensOptions): Tokens {
  return {
    issue: (claims) => issue(options, claims),
    verify: (token) => verify(options, token),
  };
}

async function issue(options: TokensOptions, claims: TokenClaims): Promise<SignedToken> {
  const { keys, issuer, audience } = options;
  const { key, signer } = keys.current();
  const { ancestors, renews, madeAtMs: issuedAtMs = options.issueTime(), ...said } = claims;
  const tokenId = renews === undefined ? randomUUID() : renewalOf(renews);
  const own: Revocable = {
    ...{ tokenId, grantId: grantOf(tokenId), clientId: clientOf(claims) },
    ...{ signingKeyId: key.id, issuedAtMs, callsPerMinute: claims.callsPerMinute },
  };
  const payload = toPayload(claims, issuedAtMs);
  const token = await new SignJWT(payload)
    .setProtectedHeader({ alg: key.algorithm, typ: TYPE, kid: key.id })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(claims.subject)
    .setJti(tokenId)
    .setIssuedAt(Math.floor(options.clock.now() / MS_PER_SECOND))
    .setExpirationTime(Math.floor(claims.expiresAtMs / MS_PER_SECOND))
    .sign(signer);
  // As it says them itself.
  const [expiresAtMs, grantEndsAtMs] = [claims.expiresAtMs, claims.grantEndsAtMs].map(
    (ms) => Math.floor(ms / MS_PER_SECOND) * MS_PER_SECOND,
  ) as [number, number];
  const links = [own, ...ancestors];
  return { token, verified: { ...said, expiresAtMs, grantEndsAtMs, links } };
}

function toPayload(claims: TokenClaims, issuedAtMs: number): JWTPayload {
  const { scopes, user, userId, sessionId, signInId, ancestors } = claims;
  const { impersonator, callsPerMinute } = claims;
  return {
    ...{ scopes: [...scopes], iat_ms: issuedAtMs, usr: user, uid: userId },
    ...(claims.kind === 'session' ? { sid: sessionId } : {}),
    ...(claims.kind === 'delegated' && signInId !== '' ? { from_sid: signInId } : {}),
    ...(ancestors.length === 0 ? {} : { anc: ancestors.map(toLink) }),
    ...(claims.kind === 'delegated'
      ? { grant_exp: Math.floor(claims.grantEndsAtMs / MS_PER_SECOND) }
      : {}),
    ...(impersonator === '' ? {} : { act: { sub: impersonator } }),
    ...(callsPerMinute === 0 ? {} : { rpm: callsPerMinute }),
  };
}

type Link = readonly [
  grantId: string,
  clientId: string,
  keyId: string,
  issuedAtMs: number,
  callsPerMinute: number,
];

function toLink(link: Revocable): Link {
  const { grantId, clientId, signingKeyId, issuedAtMs, callsPerMinute } = link;
  return [grantId, clientId, signingKeyId, issuedAtMs, callsPerMinute];
}

function fromLink([grantId, clientId, signingKeyId, issuedAtMs, callsPerMinute]: Link): Revocable {
  return { tokenId: grantId, grantId, clientId, signingKeyId, issuedAtMs, callsPerMinute };
}

function clientOf({ kind, subject }: Pick<TokenClaims, 'kind' | 'subject'>): string {
  return kind === 'delegated' ? subject : '';
}

/** The id of the delegation that a token id belongs to, renewed or not. */
export function grantOf(tokenId: string): string {
  return tokenId.split(RENEWAL, 1)[0] ?? tokenId;
}

function renewalOf(tokenId: string): string {
  const [grantId = tokenId, times = '0'] = tokenId.split(RENEWAL);
  return `${grantId}${RENEWAL}${String(Number(times) + 1)}`;
}

async function verify(options: TokensOptions, token: string): Promise<VerifiedToken> {
  const { keys, clock, issuer, audience } = options;
  if (!COMPACT.test(token)) throw invalid(undefined);
  try {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      async ({ kid = '', alg }) => {
        const verifier = await keys.findVerifier(kid);
        if (verifier?.algorithm !== alg) throw invalid(undefined);
        return verifier.key;
      },
      {
        ...{ algorithms: [...TOKEN_ALGORITHMS], typ: TYPE, issuer, audience },
        currentDate: new Date(clock.now()),
        requiredClaims: ['sub', 'jti', 'iat', 'exp', 'scopes', 'iat_ms', 'uid', 'usr'],
      },
    );
    return fromPayload(payload, protectedHeader.kid ?? '');
  } catch (error) {
    if (error instanceof joseErrors.JWTExpired) throw expired();
    if (error instanceof DomainError && !isAboutCredential(error.reason)) throw error;
    throw invalid(error);
  }
}

/** What `toPayload` wrote and a key of ours signed. */
interface Payload extends JWTPayload {
  readonly scopes: readonly string[];
  readonly iat_ms: number;
  readonly usr: string;
  readonly uid: string;
  readonly sid?: string;
  readonly from_sid?: string;
  readonly anc?: readonly Link[];
  readonly grant_exp?: number;
  readonly act?: { readonly sub: string };
  readonly rpm?: number;
}

function fromPayload(payload: JWTPayload, signingKeyId: string): VerifiedToken {
  if (!isOurs(payload)) throw invalid(undefined);
  const { exp = 0, sid = '', anc = [] } = payload;
  const own = ownLinkOf(payload, signingKeyId);
  return {
    ...{ kind: sid === '' ? 'delegated' : 'session', subject: payload.sub ?? '' },
    ...{ scopes: payload.scopes, user: payload.usr, userId: payload.uid },
    ...{ sessionId: sid, signInId: sid || (payload.from_sid ?? '') },
    ...{ impersonator: payload.act?.sub ?? '', expiresAtMs: exp * MS_PER_SECOND },
    grantEndsAtMs: (payload.grant_exp ?? exp) * MS_PER_SECOND,
    ...{ callsPerMinute: own.callsPerMinute, links: [own, ...anc.map(fromLink)] },
  };
}

function ownLinkOf(payload: Payload, signingKeyId: string): Revocable {
  const { sub: subject = '', jti: tokenId = '', rpm: callsPerMinute = 0 } = payload;
  const kind = (payload.sid ?? '') === '' ? 'delegated' : 'session';
  return {
    ...{ tokenId, grantId: grantOf(tokenId), clientId: clientOf({ kind, subject }) },
    ...{ signingKeyId, issuedAtMs: payload.iat_ms, callsPerMinute },
  };
}

/** Whoever holds the shared secret may sign anything: the shapes are checked all the same. */
function isOurs(payload: JWTPayload): payload is Payload {
  const {
    scopes,
    iat_ms: issued,
    usr,
    uid,
    sid,
    from_sid: from = '',
    anc = [],
    act,
    rpm = 0,
  } = payload as Partial<Payload>;
  return (
    Array.isArray(scopes) &&
    scopes.every((one) => typeof one === 'string') &&
    [issued, rpm].every((one) => typeof one === 'number') &&
    [usr, uid, sid ?? '', from, act?.sub ?? ''].every((one) => typeof one === 'string') &&
    Array.isArray(anc) &&
    anc.every(isLink)
  );
}

function isLink(link: unknown): boolean {
  return (
    Array.isArray(link) &&
    link.length === 5 &&
    link.slice(0, 3).every((one) => typeof one === 'string') &&
    link.slice(3).every((one) => typeof one === 'number')
  );
}

/** CREDENTIAL_EXPIRED. */
export function expired(): DomainError {
  return new DomainError('CREDENTIAL_EXPIRED', 'the credential has expired; log in again');
}

/** Says no more than that: what is wrong with a forged token is its forger's business. */
export function invalid(cause: unknown): DomainError {
  return new DomainError('CREDENTIAL_INVALID', 'the credential is not valid; log in again', {
    cause,
  });
}
