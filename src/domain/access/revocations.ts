import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf } from '../../platform/secrets.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { StoredDocument } from '../../storage/types.ts';
import { readAll } from './records.ts';
import { userIdOf } from './session-id.ts';

/** The collection of revocations: each expires when nothing it could concern can live any more. */
export const REVOCATIONS = '$revocations';

/**
 * What can be revoked at once.
 *
 * - `token`: one token, and nothing else;
 * - `grant`: a delegated token or an API key, what it was renewed to, and everything delegated with it;
 * - `session`: one sign-in, all its tokens, and no more;
 * - `signIn`: one sign-in, all its tokens, and everything delegated with them;
 * - `sessions`: every sign-in of a user until now;
 * - `user`: everything a user holds or has delegated until now;
 * - `client`: every token made for a client until now, and what it has delegated;
 * - `signingKey`: everything signed with one key;
 * - `all`: everything made until now.
 */
export const REVOCATION_KINDS = [
  'token',
  'grant',
  'session',
  'signIn',
  'sessions',
  'user',
  'client',
  'signingKey',
  'all',
] as const;

/** One of REVOCATION_KINDS. */
export type RevocationKind = (typeof REVOCATION_KINDS)[number];

/** What is revoked. */
export interface Revocation {
  readonly kind: RevocationKind;
  /** The id of it; empty for `all`. */
  readonly id: string;
  /** When the last of what it concerns ends by itself. Unix milliseconds; Infinity: never. */
  readonly expiresAtMs: number;
  /** Only what was made before this, which has passed; undefined: until now. Unix milliseconds. */
  readonly beforeMs?: number | undefined;
}

/** A credential, as those that come of it name it. */
export interface Revocable {
  readonly tokenId: string;
  /** Kept by renewals; what is delegated names it. */
  readonly grantId: string;
  readonly clientId: string;
  /** Empty: not signed (an API key). */
  readonly signingKeyId: string;
  readonly issuedAtMs: number;
  /** With it and all that it has delegated; 0: no bound of its own. */
  readonly callsPerMinute: number;
}

/** A credential and where it came from. */
export interface RevocableChain {
  /** The credential itself first, then what it was delegated with, up to the first. */
  readonly links: readonly Revocable[];
  /** The sign-in it belongs to; empty: none. */
  readonly sessionId: string;
  /** The sign-in that it, or the first of its line, was made with; empty: an API key. */
  readonly signInId: string;
  /** The user on whose authority it stands: the id, never used again. */
  readonly userId: string;
}

/** Knows what was revoked before its end. */
export interface Revocations {
  isRevoked(chain: RevocableChain): boolean;
  /**
   * Revokes, durably, before it returns. False when that was revoked already. A repetition of a kind
   * without a time writes nothing, unless the write before it failed.
   */
  revoke(revocation: Revocation): Promise<boolean>;
  /** A time for what is made now: after every revocation so far. Unix milliseconds. */
  issueTime(): number;
  readonly size: number;
}

interface StoredRevocation {
  readonly kind?: RevocationKind;
  readonly id?: string;
  /** Concerns what was made at or before this. */
  readonly untilMs?: number;
}

type TakenRevocation = Pick<StoredDocument, 'key' | 'body' | 'expiresAtMs'>;

interface Entry {
  readonly untilMs: number;
  readonly expiresAtMs: number;
  /** It is on disk. One whose write failed holds until the end of the process all the same. */
  isWritten: boolean;
}

/** What is named by these cannot come back, so that it matters not when. */
const TIMELESS: ReadonlySet<RevocationKind> = new Set([
  'token',
  'grant',
  'session',
  'signIn',
  'signingKey',
]);

/** Whether it concerns what was made until a time, and not one thing whenever that was made. */
export function hasTime(kind: RevocationKind): boolean {
  return !TIMELESS.has(kind);
}

/** How many revocations are made between two looks for those that have outlived what they concern. */
const PRUNE_EVERY = 1000;

/** Reads all revocations of a store. */
export async function createRevocations(engine: StorageEngine, clock: Clock): Promise<Revocations> {
  const revocations = new HeldRevocations(engine, clock);
  await revocations.load();
  return revocations;
}

class HeldRevocations implements Revocations {
  readonly #engine: StorageEngine;
  readonly #clock: Clock;
  readonly #byKind: Readonly<Record<RevocationKind, Map<string, Entry>>> = {
    ...{ token: new Map(), grant: new Map(), session: new Map(), signIn: new Map() },
    sessions: new Map(),
    ...{ user: new Map(), client: new Map(), signingKey: new Map(), all: new Map() },
  };
  #lastMs = 0;
  #sincePrune = 0;

  constructor(engine: StorageEngine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  get size(): number {
    return Object.values(this.#byKind).reduce((sum, { size }) => sum + size, 0);
  }

  async load(): Promise<void> {
    // First, so that nothing is missed between what is read and what is told.
    this.#engine.follow(REVOCATIONS, {
      told: (change) => {
        if (change.body !== undefined) this.#take({ ...change, body: change.body });
      },
      missed: () => this.#read(),
    });
    await this.#read();
  }

  async #read(): Promise<void> {
    for await (const document of readAll(this.#engine, REVOCATIONS)) this.#take(document);
  }

  #take({ key, body, expiresAtMs = Infinity }: TakenRevocation): void {
    const { kind = 'token', id = key, untilMs = 0 } = JSON.parse(body) as StoredRevocation;
    const before = this.#byKind[kind].get(id)?.untilMs ?? 0;
    const latestMs = Math.max(untilMs, before);
    this.#byKind[kind].set(id, { untilMs: latestMs, expiresAtMs, isWritten: true });
    // What is made from now on is made later, whatever the clock says.
    this.#lastMs = Math.max(this.#lastMs, untilMs + 1);
  }

  issueTime(): number {
    this.#lastMs = Math.max(this.#lastMs, this.#clock.now());
    return this.#lastMs;
  }

  isRevoked(chain: RevocableChain): boolean {
    const { token, user, signIn } = this.#byKind;
    const { links, userId, signInId } = chain;
    const [own] = links;
    if (own !== undefined && token.has(own.tokenId)) return true;
    if (signIn.has(signInId)) return true;
    if (this.#isSessionRevoked(chain)) return true;
    // The oldest: whatever came of it later falls with it.
    if (isUntil(user, userId, links.at(-1)?.issuedAtMs ?? 0)) return true;
    return links.some((link) => this.#concernsLink(link));
  }

  #isSessionRevoked({ links, sessionId, userId }: RevocableChain): boolean {
    if (sessionId === '') return false;
    const { session, sessions, user } = this.#byKind;
    const ownMs = links[0]?.issuedAtMs ?? 0;
    if (session.has(sessionId) || isUntil(sessions, userId, ownMs)) return true;
    // Who acts as the user, when somebody does: the session is that one's.
    const actorId = userIdOf(sessionId);
    return isUntil(sessions, actorId, ownMs) || isUntil(user, actorId, ownMs);
  }

  #concernsLink({ grantId, clientId, signingKeyId, issuedAtMs }: Revocable): boolean {
    const { grant, client, signingKey, all } = this.#byKind;
    return (
      grant.has(grantId) ||
      signingKey.has(signingKeyId) ||
      isUntil(client, clientId, issuedAtMs) ||
      isUntil(all, '', issuedAtMs)
    );
  }

  async revoke({ kind, id, expiresAtMs, beforeMs }: Revocation): Promise<boolean> {
    const held = this.#byKind[kind];
    const known = held.get(id);
    if (known?.isWritten === true && TIMELESS.has(kind)) return false;
    // A moment that was before does not bring back what a later one has ended.
    if (beforeMs !== undefined && beforeMs <= (known?.untilMs ?? 0)) return false;
    const momentMs = beforeMs === undefined ? this.#passMoment() : beforeMs - 1;
    // At once in this process, so that of two who use a token for the last time one comes too late.
    held.set(id, { untilMs: momentMs, expiresAtMs, isWritten: false });
    // The clock of another node that made credentials may be ahead.
    const headMs = beforeMs === undefined ? (await this.#engine.head()).timestampMs : 0;
    const untilMs = Math.max(momentMs, headMs);
    this.#lastMs = Math.max(this.#lastMs, untilMs + 1);
    const entry: Entry = { untilMs, expiresAtMs, isWritten: false };
    held.set(id, entry);
    await this.#engine.transact({ durability: 'sync' }, (transaction) => {
      const body = JSON.stringify({ kind, id, untilMs });
      const ends = Number.isFinite(expiresAtMs) ? { expiresAtMs } : {};
      transaction.put({ collection: REVOCATIONS, key: keyOf(kind, id), body, ...ends });
    });
    entry.isWritten = true;
    this.#sincePrune += 1;
    if (this.#sincePrune >= PRUNE_EVERY) this.#prune();
    return known === undefined;
  }

  /** The moment of a revocation; what is made afterwards is made later, whatever the clock says. */
  #passMoment(): number {
    const untilMs = this.issueTime();
    this.#lastMs += 1;
    return untilMs;
  }

  #prune(): void {
    this.#sincePrune = 0;
    const nowMs = this.#clock.now();
    for (const held of Object.values(this.#byKind)) {
      for (const [id, { expiresAtMs }] of held) if (expiresAtMs <= nowMs) held.delete(id);
    }
  }
}

function isUntil(held: ReadonlyMap<string, Entry>, id: string, issuedAtMs: number): boolean {
  const entry = held.get(id);
  return entry !== undefined && issuedAtMs <= entry.untilMs;
}

/** Ids of clients are free text: a hash of them is a key. */
function keyOf(kind: RevocationKind, id: string): string {
  return `${kind}.${hashOf(id, 'base64url')}`;
}

/** CREDENTIAL_REVOKED. */
export function revoked(): DomainError {
  return new DomainError('CREDENTIAL_REVOKED', 'the credential was revoked; log in again');
}
