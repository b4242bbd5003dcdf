import type { Clock } from '../../platform/clock.ts';
import { hashOf, isSame, randomSecret } from '../../platform/secrets.ts';
import type { StorageEngine, Transaction } from '../../storage/engine.ts';
import type { StoredDocument } from '../../storage/types.ts';
import { USERS, type StoredUser } from './accounts.ts';
import { countAll, readAll } from './records.ts';
import { revoked, type Revocations } from './revocations.ts';
import { makeSessionId, sessionPrefixOf } from './session-id.ts';
import { invalid } from './tokens.ts';

/** A sign-in that goes on: one user, one device. */
export interface Session {
  readonly id: string;
  readonly user: string;
  readonly userId: string;
  readonly createdAtMs: number;
  readonly usedAtMs: number;
  /** It can be refreshed until then, and each time the end moves, up to `endsAtMs`. */
  readonly idleEndsAtMs: number;
  readonly endsAtMs: number;
  /** Where it was signed in from. */
  readonly address: string;
  /** What the client called itself. */
  readonly client: string;
  /** How the user proved who it is: `password`, `totp`, the name of an identity provider. */
  readonly methods: readonly string[];
}

/** A session and what refreshes it. */
export interface OpenedSession {
  readonly session: Session;
  /** Shown once; the store knows its hash. */
  readonly refreshToken: string;
}

/** What a session is opened with. */
export type SessionStart = Pick<Session, 'user' | 'userId' | 'address' | 'client' | 'methods'> & {
  /** Of the user, from before it proved who it is. */
  readonly epoch: number;
};

/**
 * Sessions with refresh tokens that are used once (RFC 9700 section 4.14.2): using one twice shows that
 * two parties hold it, and ends the session for both.
 */
export interface Sessions {
  /** Undefined when the user has changed since it proved who it is, so that it must do so again. */
  open(start: SessionStart): Promise<OpenedSession | undefined>;
  /** CREDENTIAL_INVALID, also when its session is over; CREDENTIAL_REVOKED when it was used before. */
  refresh(refreshToken: string): Promise<OpenedSession>;
  /** The sessions of a user that can still be refreshed, the newest first. */
  list(userId: string): Promise<readonly Session[]>;
  /** Ends one. Undefined when the user has none of that id. */
  end(userId: string, sessionId: string): Promise<Session | undefined>;
  /** Ends the session that a refresh token, used or not, belongs to. An unknown one is no error. */
  endShown(refreshToken: string): Promise<void>;
  /** The session goes on in another epoch of its user. */
  keep(sessionId: string, epoch: number): Promise<void>;
  /** Ends all of a user but one. */
  endAll(userId: string, except?: string): Promise<void>;
  /**
   * How many are kept whose ids start with this: empty for all, `sessionPrefixOf` a user, one id; opened
   * before a time, when one is given.
   */
  count(idPrefix: string, beforeMs?: number): Promise<number>;
  /** Forgets those, by the same, that a revocation has ended already. */
  dropRevoked(idPrefix: string): Promise<void>;
}

interface StoredSession extends Omit<Session, 'id'> {
  readonly epoch: number;
  /** SHA-256 of the part of its refresh tokens that stays: who lacks it guesses, and ends nothing. */
  readonly familyHash: string;
  /** SHA-256 of the part that refreshes it next. */
  readonly secretHash: string;
}

const COLLECTION = '$sessions';
const PREFIX = 'mr_';
const DAY_MS = 24 * 3_600_000;
/** A session that nobody refreshes ends. */
export const SESSION_IDLE_MS: number = 14 * DAY_MS;
/** Every session ends. */
const LIFE_MS = 90 * DAY_MS;
/** Of one user; the one used longest ago gives way. */
const SESSIONS_MAX = 100;
const DROPPED_AT_ONCE = 1000;
const CLIENT_CHARS_MAX = 256;
const TOKEN = /^mr_([A-Za-z0-9-]{1,64}\.[A-Za-z0-9_-]{22})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{43})$/;

/** Opens the sessions of a store. */
export function createSessions(parts: {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly revocations: Revocations;
}): Sessions {
  return new StoredSessions(parts);
}

class StoredSessions implements Sessions {
  readonly #engine: StorageEngine;
  readonly #clock: Clock;
  readonly #revocations: Revocations;

  constructor(parts: Parameters<typeof createSessions>[0]) {
    this.#engine = parts.engine;
    this.#clock = parts.clock;
    this.#revocations = parts.revocations;
  }

  async open(start: SessionStart): Promise<OpenedSession | undefined> {
    const held = await this.list(start.userId);
    for (const { id } of held.slice(SESSIONS_MAX - 1)) await this.end(start.userId, id);
    const nowMs = this.#revocations.issueTime();
    const id = makeSessionId(start.userId);
    const [family, secret] = [randomSecret(), randomSecret()];
    const stored: StoredSession = {
      ...start,
      ...{ client: start.client.slice(0, CLIENT_CHARS_MAX), createdAtMs: nowMs, usedAtMs: nowMs },
      ...{ idleEndsAtMs: nowMs + SESSION_IDLE_MS, endsAtMs: nowMs + LIFE_MS },
      ...{ familyHash: hashOf(family), secretHash: hashOf(secret) },
    };
    const { value: isOpen } = await this.#engine.transact(
      { durability: 'sync' },
      async (writes) => {
        if (!(await isCurrent(writes, start))) return false;
        writes.put(toPut(id, stored));
        return true;
      },
    );
    return isOpen
      ? { session: toSession(id, stored), refreshToken: `${PREFIX}${id}_${family}${secret}` }
      : undefined;
  }

  async refresh(refreshToken: string): Promise<OpenedSession> {
    const [, id = '', family = '', secret = ''] = TOKEN.exec(refreshToken) ?? [];
    if (id === '') throw invalid(undefined);
    const next = randomSecret();
    const { value } = await this.#engine.transact({ durability: 'sync' }, async (transaction) => {
      const [document] = await transaction.get(COLLECTION, [id]);
      if (document === undefined) return undefined;
      const stored = JSON.parse(document.body) as StoredSession;
      const isKnown = isSame(stored.familyHash, hashOf(family));
      if (!isKnown || !(await isCurrent(transaction, stored))) return undefined;
      // Read again when another refresh came first, and then the secret is not the next one any more.
      if (!isSame(stored.secretHash, hashOf(secret))) return { kind: 'reused', stored } as const;
      const renewed = renew(stored, this.#clock.now(), hashOf(next));
      transaction.put(toPut(id, renewed));
      return { kind: 'renewed', stored: renewed } as const;
    });
    if (value === undefined) throw invalid(undefined);
    const session = toSession(id, value.stored);
    if (value.kind === 'reused') {
      await this.end(session.userId, id);
      throw revoked();
    }
    if (this.#isOver(session)) throw revoked();
    return { session, refreshToken: `${PREFIX}${id}_${family}${next}` };
  }

  async list(userId: string): Promise<readonly Session[]> {
    const found: Session[] = [];
    for await (const { key, body } of this.#read(sessionPrefixOf(userId))) {
      const session = toSession(key, JSON.parse(body) as StoredSession);
      if (!this.#isOver(session)) found.push(session);
    }
    return found.sort((a, b) => b.usedAtMs - a.usedAtMs);
  }

  async end(userId: string, sessionId: string): Promise<Session | undefined> {
    if (!sessionId.startsWith(sessionPrefixOf(userId))) return undefined;
    const [document] = await this.#engine.get(COLLECTION, [sessionId]);
    if (document === undefined) return undefined;
    const session = toSession(sessionId, JSON.parse(document.body) as StoredSession);
    await this.#revocations.revoke({
      ...{ kind: 'session', id: sessionId, expiresAtMs: session.endsAtMs + DAY_MS },
    });
    await this.#engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.delete({ collection: COLLECTION, key: sessionId });
    });
    return session;
  }

  async endShown(refreshToken: string): Promise<void> {
    const [, id = '', family = ''] = TOKEN.exec(refreshToken) ?? [];
    const [document] = id === '' ? [] : await this.#engine.get(COLLECTION, [id]);
    if (document === undefined) return;
    const { familyHash, userId } = JSON.parse(document.body) as StoredSession;
    if (isSame(familyHash, hashOf(family))) await this.end(userId, id);
  }

  async keep(sessionId: string, epoch: number): Promise<void> {
    await this.#engine.transact({ durability: 'sync' }, async (transaction) => {
      const [document] = await transaction.get(COLLECTION, [sessionId]);
      if (document === undefined) return;
      const stored = JSON.parse(document.body) as StoredSession;
      transaction.put(toPut(sessionId, { ...stored, epoch }));
    });
  }

  async endAll(userId: string, except = ''): Promise<void> {
    const ids: string[] = [];
    // All that are kept, about SESSIONS_MAX, those that a revocation has ended already among them.
    for await (const { key } of this.#read(sessionPrefixOf(userId))) {
      if (key !== except) ids.push(key);
    }
    await Promise.all(ids.map((id) => this.end(userId, id)));
  }

  async count(idPrefix: string, beforeMs?: number): Promise<number> {
    if (beforeMs === undefined) return await countAll(this.#engine, COLLECTION, idPrefix);
    let count = 0;
    for await (const { body } of this.#read(idPrefix)) {
      if ((JSON.parse(body) as StoredSession).createdAtMs < beforeMs) count += 1;
    }
    return count;
  }

  async dropRevoked(idPrefix: string): Promise<void> {
    let ids: string[] = [];
    for await (const { key, body } of this.#read(idPrefix)) {
      // A sign-in after the revocation is none of its business.
      if (this.#isOver(toSession(key, JSON.parse(body) as StoredSession))) ids.push(key);
      if (ids.length < DROPPED_AT_ONCE) continue;
      await this.#drop(ids);
      ids = [];
    }
    await this.#drop(ids);
  }

  async #drop(ids: readonly string[]): Promise<void> {
    await this.#engine.transact({ durability: 'async' }, (transaction) => {
      for (const key of ids) transaction.delete({ collection: COLLECTION, key });
    });
  }

  #read(idPrefix: string): AsyncIterable<StoredDocument> {
    return readAll(this.#engine, COLLECTION, { keyPrefix: idPrefix });
  }

  /** Sessions of a user are also ended all at once, by a revocation that names none of them. */
  #isOver({ id: sessionId, userId, createdAtMs }: Session): boolean {
    const link = {
      ...{ tokenId: '', grantId: '', clientId: '', signingKeyId: '', callsPerMinute: 0 },
      issuedAtMs: createdAtMs,
    };
    return this.#revocations.isRevoked({ links: [link], sessionId, signInId: sessionId, userId });
  }
}

/** The user is still the one who proved who it is: the same, active, with the same secrets. */
async function isCurrent(
  transaction: Transaction,
  { user, userId, epoch }: Pick<StoredSession, 'user' | 'userId' | 'epoch'>,
): Promise<boolean> {
  const [document] = await transaction.get(USERS, [user]);
  const stored = document && (JSON.parse(document.body) as StoredUser);
  return stored?.id === userId && stored.state === 'active' && (stored.epoch ?? 0) === epoch;
}

function renew(stored: StoredSession, nowMs: number, secretHash: string): StoredSession {
  const idleEndsAtMs = Math.min(nowMs + SESSION_IDLE_MS, stored.endsAtMs);
  return { ...stored, secretHash, usedAtMs: nowMs, idleEndsAtMs };
}

function toPut(
  key: string,
  stored: StoredSession,
): {
  readonly collection: string;
  readonly key: string;
  readonly body: string;
  readonly expiresAtMs: number;
} {
  const body = JSON.stringify(stored);
  return { collection: COLLECTION, key, body, expiresAtMs: stored.idleEndsAtMs };
}

function toSession(
  id: string,
  { familyHash: _family, secretHash: _secret, ...stored }: StoredSession,
): Session {
  return { id, ...stored };
}
