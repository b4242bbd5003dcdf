import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf, isSame, randomSecret } from '../../platform/secrets.ts';
import { createTurns } from '../../platform/turns.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { Accounts, StoredUser } from './accounts.ts';
import { foldName, type Lockouts } from './lockouts.ts';
import type { Passwords } from './passwords.ts';
import { wrongCode, type SecondFactors } from './second-factor.ts';
import type { Session, Sessions } from './sessions.ts';
import type { SignedToken, Tokens } from './tokens.ts';

/** Where somebody signs in from, and what is asked for. */
export interface SignInContext {
  readonly address: string;
  /** What the client calls itself. */
  readonly client: string;
  /** The life of the access token; undefined: the configured one. Milliseconds. */
  readonly ttlMs: number | undefined;
  /** Aborts when nobody waits for it any more; that counts as a failure like any other. */
  readonly signal?: AbortSignal;
}

/** What somebody signs in with. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** A sign-in that has come to an end. */
export interface SignedIn {
  readonly kind: 'signedIn';
  readonly access: SignedToken;
  readonly refreshToken: string;
  readonly session: Session;
}

/** A sign-in that needs a code. */
export interface Challenged {
  readonly kind: 'challenged';
  /** To be shown with the code. */
  readonly challenge: string;
  readonly expiresAtMs: number;
}

/** Finds users by name and password elsewhere, such as in an LDAP directory. */
export interface Directory {
  authenticate(
    username: string,
    password: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly name: string; readonly user: StoredUser } | undefined>;
  /** Takes as long and fails alike, for a user of ours whom it is not asked about. */
  pretend(username: string, password: string, signal: AbortSignal | undefined): Promise<void>;
}

/**
 * Signing in, by password and by a code, and going on. Each but `admit` first learns what other nodes have done until
 * now: ENGINE_UNAVAILABLE when that cannot be known.
 */
export interface SignIns {
  /**
   * CREDENTIAL_INVALID for an unknown user as for a wrong password, a locked or a disabled user, after the
   * same work; PROVIDER_UNAVAILABLE in its place, for all of them, while a directory cannot be asked.
   * RATE_LIMITED after too many failures, and at once when too many wait.
   */
  login(credentials: Credentials, context: SignInContext): Promise<SignedIn | Challenged>;
  /** CREDENTIAL_INVALID for a wrong code; after five the challenge ends. CREDENTIAL_EXPIRED. */
  answer(challenge: string, code: string, context: SignInContext): Promise<SignedIn>;
  /** For a user whom an identity provider vouches for: the same as after the right password. */
  admit(name: string, method: string, context: SignInContext): Promise<SignedIn | Challenged>;
  /** A fresh access token, and another refresh token in place of the one that is shown. */
  refresh(refreshToken: string, ttlMs: number | undefined): Promise<SignedIn>;
}

/** What signing in needs. */
export interface SignInParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  readonly lockouts: Lockouts;
  readonly sessions: Sessions;
  readonly secondFactors: SecondFactors;
  readonly tokens: Tokens;
  /** Asked, in order, about users without a password here. */
  readonly directories: readonly Directory[];
  readonly accessTokenTtlMs: number;
}

/** The longest life of an access token of a session. */
export const ACCESS_TTL_MAX_MS: number = 24 * 3_600_000;
/** Logins of one name that may wait for their turn: it has one place where passwords are hashed. */
const WAITING_MAX = 2;
/** Users and addresses that they signed in from, as remembered by this process. */
const KNOWN_MAX = 10_000;
const CHALLENGE_MS = 300_000;
const CHALLENGE_ATTEMPTS = 5;
const CHALLENGES = '$challenges';
const CHALLENGE = /^mc_([A-Za-z0-9_-]{22})_([A-Za-z0-9_-]{43})$/;
const CHALLENGE_ID_BYTES = 16;
/** A cookie has 4,096 bytes for all of a token. */
const SHOWN_CHARS_MAX = 1024;

interface StoredChallenge {
  readonly user: string;
  readonly userId: string;
  readonly epoch: number;
  readonly method: string;
  readonly secretHash: string;
  readonly attempts: number;
}

/** Creates the sign-ins of a server. */
export function createSignIns(parts: SignInParts): SignIns {
  return new PasswordSignIns(parts);
}

/** A user whose password was right. */
interface Found {
  readonly name: string;
  readonly user: StoredUser;
  readonly method: string;
}

/** A user who has proven who it is. */
interface Proven {
  readonly name: string;
  readonly userId: string;
  readonly epoch: number;
  readonly methods: readonly string[];
}

class PasswordSignIns implements SignIns {
  readonly #parts: SignInParts;
  readonly #turns = createTurns(WAITING_MAX, tooManyLogins);
  readonly #known = new LRUCache<string, true>({ max: KNOWN_MAX });

  constructor(parts: SignInParts) {
    this.#parts = parts;
  }

  async login(credentials: Credentials, context: SignInContext): Promise<SignedIn | Challenged> {
    // One after the other, so that no more are tried side by side than one after the other.
    return await this.#turns.run(foldName(credentials.username), () =>
      this.#loginInTurn(credentials, context),
    );
  }

  async #loginInTurn(
    { username, password }: Credentials,
    context: SignInContext,
  ): Promise<SignedIn | Challenged> {
    const attempt = { username, address: context.address };
    const { lockouts, engine } = this.#parts;
    await engine.catchUp();
    await lockouts.check(attempt);
    const found = await this.#authenticate({ username, password }, context);
    const result = await this.#enter(found, context);
    // Who owes a code is not in yet: the password must not wipe out wrong codes, or those could be guessed.
    if (result.kind === 'signedIn') await lockouts.succeed(attempt);
    return result;
  }

  async admit(
    name: string,
    method: string,
    context: SignInContext,
  ): Promise<SignedIn | Challenged> {
    const user = this.#parts.accounts.find(name);
    if (user?.state !== 'active') throw wrongPassword();
    return await this.#enter({ name, user, method }, context);
  }

  async #enter(found: Found, context: SignInContext): Promise<SignedIn | Challenged> {
    const { name, user, method } = found;
    if (user.secondFactor?.isConfirmed === true) return await this.#challenge(found);
    const who = { name, userId: user.id, epoch: user.epoch ?? 0, methods: [method] };
    return await this.#complete(who, context);
  }

  async answer(challenge: string, code: string, context: SignInContext): Promise<SignedIn> {
    const { lockouts, secondFactors, engine } = this.#parts;
    await engine.catchUp();
    const { id, user: name, userId, method, epoch } = await this.#attempt(challenge);
    const attempt = { username: name, address: context.address };
    await lockouts.check(attempt);
    if (!(await secondFactors.take(name, code))) {
      await lockouts.fail(attempt);
      throw wrongCode(name);
    }
    await lockouts.succeed(attempt);
    await this.#close(id);
    const who = { name, userId, epoch, methods: [method, 'totp'] };
    return await this.#complete(who, context);
  }

  async refresh(refreshToken: string, ttlMs: number | undefined): Promise<SignedIn> {
    const { sessions, accounts, engine } = this.#parts;
    // Before the token is used up.
    await engine.catchUp();
    const opened = await sessions.refresh(refreshToken);
    const { user, userId } = opened.session;
    if (!accounts.isActive(user, userId)) throw wrongPassword();
    return { kind: 'signedIn', ...opened, access: await this.#issue(opened.session, ttlMs) };
  }

  /**
   * First the hash, which is refused when too many wait, before anything is looked at. Then the directory:
   * of a user with a password here too, so that neither the answer nor the time tells who has one.
   */
  async #authenticate(credentials: Credentials, context: SignInContext): Promise<Found> {
    const user = this.#parts.accounts.find(credentials.username);
    const own = await this.#checkOwn(user, credentials, context);
    if (own !== undefined) return own;
    try {
      const isTheirs = user?.passwordHash === undefined;
      const found = await this.#askDirectories(credentials, isTheirs, context);
      if (found?.user.state !== 'active') throw wrongPassword();
      return found;
    } catch (error) {
      // Whatever it was: one that gives up, or finds nobody to ask, has tried as well.
      const { username } = credentials;
      await this.#parts.lockouts.fail({ username, address: context.address });
      throw error;
    }
  }

  /** A user whose password is kept here, and right. */
  async #checkOwn(
    user: StoredUser | undefined,
    { username, password }: Credentials,
    context: SignInContext,
  ): Promise<Found | undefined> {
    const { passwords } = this.#parts;
    const hash = user?.passwordHash;
    const isKnown = user !== undefined && this.#known.has(knownAs(user.id, context));
    const isRight = await passwords.verify(hash, password, isKnown ? 'known' : 'stranger');
    if (!isRight || user?.state !== 'active' || hash === undefined) return undefined;
    if (passwords.isOutdated(hash)) await this.#rehash(username, hash, password);
    return { name: username, user, method: 'password' };
  }

  async #askDirectories(
    { username, password }: Credentials,
    isTheirs: boolean,
    { signal }: SignInContext,
  ): Promise<Found | undefined> {
    for (const directory of this.#parts.directories) {
      if (!isTheirs) {
        await directory.pretend(username, password, signal);
        continue;
      }
      const found = await directory.authenticate(username, password, signal);
      if (found !== undefined) return { ...found, method: 'directory' };
    }
    return undefined;
  }

  async #rehash(name: string, before: string, password: string): Promise<void> {
    const passwordHash = await this.#parts.passwords.hash(password);
    await this.#parts.accounts.records.change(name, (user) => {
      // Changed meanwhile: the newer one stays.
      return user?.passwordHash === before ? { ...user, passwordHash } : user;
    });
  }

  /** Of those who answer a challenge at once, one ends it. */
  async #close(id: string): Promise<void> {
    const { value: isMine } = await this.#parts.engine.transact(
      { durability: 'sync' },
      async (transaction) => {
        const [document] = await transaction.get(CHALLENGES, [id]);
        if (document !== undefined) transaction.delete({ collection: CHALLENGES, key: id });
        return document !== undefined;
      },
    );
    if (!isMine) throw hasEnded();
  }

  async #challenge({ name, user, method }: Found): Promise<Challenged> {
    const id = randomSecret(CHALLENGE_ID_BYTES);
    const secret = randomSecret();
    const expiresAtMs = this.#parts.clock.now() + CHALLENGE_MS;
    const stored: StoredChallenge = {
      ...{ user: name, userId: user.id, epoch: user.epoch ?? 0, method, attempts: 0 },
      secretHash: hashOf(secret),
    };
    await this.#parts.engine.transact({ durability: 'async' }, (transaction) => {
      const body = JSON.stringify(stored);
      transaction.put({ collection: CHALLENGES, key: id, body, expiresAtMs });
    });
    return { kind: 'challenged', challenge: `mc_${id}_${secret}`, expiresAtMs };
  }

  /** Counts an attempt at a challenge before its code is looked at. */
  async #attempt(text: string): Promise<StoredChallenge & { readonly id: string }> {
    const [, id = '', secret = ''] = CHALLENGE.exec(text) ?? [];
    const { value } = await this.#parts.engine.transact({ durability: 'async' }, async (writes) => {
      const [document] = id === '' ? [] : await writes.get(CHALLENGES, [id]);
      const stored = document && (JSON.parse(document.body) as StoredChallenge);
      if (document === undefined || stored === undefined) return undefined;
      if (!isSame(stored.secretHash, hashOf(secret))) return undefined;
      const attempts = stored.attempts + 1;
      if (attempts > CHALLENGE_ATTEMPTS) return undefined;
      const body = JSON.stringify({ ...stored, attempts });
      const { expiresAtMs } = document;
      writes.put({ collection: CHALLENGES, key: id, body, expiresAtMs });
      return { stored };
    });
    const { stored } = value ?? {};
    if (stored === undefined || !this.#parts.accounts.isActive(stored.user, stored.userId)) {
      throw hasEnded();
    }
    return { id, ...stored };
  }

  async #complete(
    { name, userId, epoch, methods }: Proven,
    context: SignInContext,
  ): Promise<SignedIn> {
    const { address, client, ttlMs } = context;
    const { accounts, sessions, clock } = this.#parts;
    const opened = await sessions.open({ user: name, userId, epoch, address, client, methods });
    // The password was changed, or the user locked, while it signed in.
    if (opened === undefined) throw wrongPassword();
    this.#known.set(knownAs(userId, context), true);
    await accounts.records.change(name, (user) => user && { ...user, lastLoginAtMs: clock.now() });
    return { kind: 'signedIn', ...opened, access: await this.#issue(opened.session, ttlMs) };
  }

  async #issue(session: Session, ttlMs: number | undefined): Promise<SignedToken> {
    const { id, user, userId, createdAtMs: madeAtMs } = session;
    const { clock, tokens, accounts, accessTokenTtlMs } = this.#parts;
    const expiresAtMs = clock.now() + Math.min(ttlMs ?? accessTokenTtlMs, ACCESS_TTL_MAX_MS);
    return await tokens.issue({
      ...{
        kind: 'session',
        subject: user,
        user,
        userId,
        sessionId: id,
        signInId: id,
        ancestors: [],
      },
      madeAtMs,
      scopes: shownScopes(accounts.scopesOf(user, userId).texts),
      ...{ expiresAtMs, grantEndsAtMs: expiresAtMs, impersonator: '', callsPerMinute: 0 },
    });
  }
}

/**
 * What a token of a sign-in tells others of its scopes; the server looks them up for each call. A long
 * list is left out: it would not fit into a header, or into a cookie of a browser.
 */
function shownScopes(texts: readonly string[]): readonly string[] {
  return JSON.stringify(texts).length <= SHOWN_CHARS_MAX ? texts : [];
}

function knownAs(userId: string, { address }: SignInContext): string {
  return `${userId} ${address}`;
}

function hasEnded(): DomainError {
  return new DomainError('CREDENTIAL_EXPIRED', 'the sign-in has ended; start again');
}

function tooManyLogins(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many logins of this name at once; try again', {
    retryAfterMs: 1000,
  });
}

/** CREDENTIAL_INVALID. The note goes to the logs, and not to who signs in. */
export function wrongPassword(note?: string): DomainError {
  const message = 'the user name or the password is wrong';
  return new DomainError('CREDENTIAL_INVALID', message, note === undefined ? {} : { note });
}
