import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf, isSame } from '../../platform/secrets.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openRecords, type Records } from './records.ts';
import type { Revocations } from './revocations.ts';

/** A key of a service, as it is shown. */
export interface ApiKey {
  readonly id: string;
  readonly environment: ApiKeyEnvironment;
  readonly owner: string;
  readonly ownerId: string;
  readonly description: string;
  readonly scopes: readonly string[];
  readonly createdAtMs: number;
  /** Undefined: does not expire. */
  readonly expiresAtMs: number | undefined;
  /** To the minute; undefined: never. */
  readonly lastUsedAtMs: number | undefined;
  /** The key that replaced it. */
  readonly rotatedTo: string | undefined;
}

/** What a key is for; part of its text, so that one is not mistaken for the other. */
export const API_KEY_ENVIRONMENTS = ['live', 'test'] as const;

/** One of API_KEY_ENVIRONMENTS. */
export type ApiKeyEnvironment = (typeof API_KEY_ENVIRONMENTS)[number];

/** What a key is made with. */
export type ApiKeySpec = Omit<ApiKey, 'id' | 'createdAtMs' | 'lastUsedAtMs' | 'rotatedTo'>;

/** The keys of a store: `mk_<environment>_<id>_<secret><checksum>`, of which the store keeps a hash. */
export interface ApiKeys {
  /** The key itself is shown once. Forgets keys that ended long ago. QUOTA_EXCEEDED. */
  create(spec: ApiKeySpec, createdAtMs: number): Promise<MadeApiKey>;
  /**
   * A key like `id`, in its place; the old one works for `overlapMs` more. API_KEY_NOT_FOUND; ARGUMENT_INVALID
   * for one that was replaced already.
   */
  rotate(id: string, overlapMs: number, createdAtMs: number): Promise<MadeApiKey>;
  find(id: string): ApiKey | undefined;
  /** When a key ends, Infinity for never; undefined when there is none. Cheap. */
  endOf(id: string): number | undefined;
  /** Of one owner, or of all, by id. */
  list(ownerId: string | undefined): readonly ApiKey[];
  delete(id: string): Promise<void>;
  deleteOf(ownerId: string): Promise<void>;
  /**
   * The key of a text; undefined when there is none, or not this one. Does not look at its end. ENGINE_UNAVAILABLE when
   * it is not known here and may have been made elsewhere.
   */
  verify(text: string): Promise<ApiKey | undefined>;
  /** Remembers that a key was used now; written at most once a minute, when there is time. */
  touch(id: string): void;
}

/** A key, and its text. */
export interface MadeApiKey {
  readonly apiKey: ApiKey;
  readonly text: string;
}

interface StoredKey extends Omit<ApiKey, 'id'> {
  /** SHA-256: the secret has 190 random bits. */
  readonly hash: string;
}

const COLLECTION = '$apiKeys';
/** Held in memory: about 500 bytes each. */
const KEYS_MAX = 200_000;
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_CHARS = 12;
const SECRET_CHARS = 32;
const CHECKSUM_CHARS = 6;
const TOUCH_MS = 60_000;
const DESCRIPTION_CHARS_MAX = 256;

/** The form of a key; the contract publishes it, so that scanners for secrets know it. */
const API_KEY_PATTERN = /^mk_(live|test)_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;

/** Of one owner: that many may work, and as many that have ended are shown. */
const KEYS_PER_OWNER_MAX = 1000;
/** One that has ended is shown for this long. */
const ENDED_SHOWN_MS = 30 * 24 * 3_600_000;
/** Keys that are forgotten at once. */
const FORGOTTEN_MAX = 100;

/** Opens the keys of a store. */
export async function openApiKeys(engine: StorageEngine, clock: Clock): Promise<ApiKeys> {
  const records = await openRecords<StoredKey>({
    ...{ engine, collection: COLLECTION, recordsMax: KEYS_MAX },
  });
  return new StoredApiKeys(records, clock);
}

class StoredApiKeys implements ApiKeys {
  readonly #records: Records<StoredKey>;
  readonly #clock: Clock;
  readonly #touched = new Map<string, number>();
  readonly #seen = new WeakMap<StoredKey, ApiKey>();

  constructor(records: Records<StoredKey>, clock: Clock) {
    this.#records = records;
    this.#clock = clock;
  }

  async create(spec: ApiKeySpec, createdAtMs: number): Promise<MadeApiKey> {
    if (spec.description.length > DESCRIPTION_CHARS_MAX) {
      throw new DomainError('ARGUMENT_INVALID', 'the description is longer than 256 characters');
    }
    await this.#makeRoom(spec);
    const id = randomText(ID_CHARS);
    const head = `mk_${spec.environment}_${id}_${randomText(SECRET_CHARS)}`;
    const text = `${head}${checksumOf(head)}`;
    const stored: StoredKey = {
      ...spec,
      ...{ createdAtMs, lastUsedAtMs: undefined, rotatedTo: undefined, hash: hashOf(text) },
    };
    await this.#records.change(id, () => stored);
    return { apiKey: toApiKey(id, stored), text };
  }

  /** QUOTA_EXCEEDED when the owner has too many that work; of those that have ended the oldest go. */
  async #makeRoom({ owner, ownerId }: ApiKeySpec): Promise<void> {
    const nowMs = this.#clock.now();
    const ended: (readonly [string, StoredKey])[] = [];
    let live = 0;
    for (const entry of this.#records.entries()) {
      const [, { expiresAtMs = Infinity, ownerId: other }] = entry;
      if (expiresAtMs <= nowMs) ended.push(entry);
      else if (other === ownerId) live += 1;
    }
    if (live >= KEYS_PER_OWNER_MAX) throw tooManyKeys(owner);
    const own = ended.filter(([, key]) => key.ownerId === ownerId).sort(byEnd);
    const old = ended.filter(([, key]) => (key.expiresAtMs ?? 0) <= nowMs - ENDED_SHOWN_MS);
    const surplus = own.slice(0, Math.max(0, own.length - KEYS_PER_OWNER_MAX));
    const ids = new Set([...surplus, ...old].map(([id]) => id));
    await Promise.all([...ids].slice(0, FORGOTTEN_MAX).map((id) => this.delete(id)));
  }

  async rotate(id: string, overlapMs: number, createdAtMs: number): Promise<MadeApiKey> {
    const old = this.find(id);
    if (old === undefined) throw apiKeyNotFound(id);
    if (old.rotatedTo !== undefined) {
      throw new DomainError(
        'ARGUMENT_INVALID',
        `the key '${id}' was replaced by '${old.rotatedTo}'`,
      );
    }
    const { environment, owner, ownerId, description, scopes, expiresAtMs } = old;
    const spec = { environment, owner, ownerId, description, scopes, expiresAtMs };
    const made = await this.create(spec, createdAtMs);
    const endsAtMs = Math.min(this.#clock.now() + overlapMs, old.expiresAtMs ?? Infinity);
    await this.#records.change(id, (key) => {
      return key && { ...key, expiresAtMs: endsAtMs, rotatedTo: made.apiKey.id };
    });
    return made;
  }

  find(id: string): ApiKey | undefined {
    const stored = this.#records.get(id);
    return stored && toApiKey(id, { ...stored, lastUsedAtMs: this.#lastUsed(id, stored) });
  }

  endOf(id: string): number | undefined {
    const stored = this.#records.get(id);
    return stored && (stored.expiresAtMs ?? Infinity);
  }

  list(ownerId: string | undefined): readonly ApiKey[] {
    return [...this.#records.entries()]
      .filter(([, key]) => ownerId === undefined || key.ownerId === ownerId)
      .map(([id, key]) => toApiKey(id, { ...key, lastUsedAtMs: this.#lastUsed(id, key) }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async delete(id: string): Promise<void> {
    await this.#records.change(id, () => undefined);
    this.#touched.delete(id);
  }

  async deleteOf(ownerId: string): Promise<void> {
    await Promise.all(this.list(ownerId).map(({ id }) => this.delete(id)));
  }

  async verify(text: string): Promise<ApiKey | undefined> {
    const [, environment, id = '', , checksum = ''] = API_KEY_PATTERN.exec(text) ?? [];
    if (id === '' || checksumOf(text.slice(0, -CHECKSUM_CHARS)) !== checksum) return undefined;
    const stored = await this.#records.find(id);
    if (stored === undefined || stored.environment !== environment) return undefined;
    return isSame(stored.hash, hashOf(text)) ? this.#shown(id, stored) : undefined;
  }

  touch(id: string): void {
    const nowMs = this.#clock.now();
    const lastMs = this.#touched.get(id) ?? 0;
    if (nowMs - lastMs < TOUCH_MS) return;
    this.#touched.set(id, nowMs);
    // Nobody waits for it; one that is lost is made good by the next use.
    this.#records
      .change(id, (key) => key && { ...key, lastUsedAtMs: nowMs }, { durability: 'async' })
      .catch(() => undefined);
  }

  /** The same object as long as the key is the same. */
  #shown(id: string, stored: StoredKey): ApiKey {
    const known = this.#seen.get(stored) ?? toApiKey(id, stored);
    this.#seen.set(stored, known);
    return known;
  }

  #lastUsed(id: string, { lastUsedAtMs }: StoredKey): number | undefined {
    return this.#touched.get(id) ?? lastUsedAtMs;
  }
}

function toApiKey(id: string, { hash: _, ...stored }: StoredKey): ApiKey {
  return { id, ...stored };
}

function randomText(chars: number): string {
  return Array.from({ length: chars }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** CRC-32 in base 62: tells a mistyped or cut key without asking the store. */
function checksumOf(head: string): string {
  let rest = crc32(head);
  let text = '';
  for (let at = 0; at < CHECKSUM_CHARS; at++) {
    text = `${ALPHABET[rest % ALPHABET.length] ?? ''}${text}`;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return text;
}

function byEnd([, a]: readonly [string, StoredKey], [, b]: readonly [string, StoredKey]): number {
  return (a.expiresAtMs ?? Infinity) - (b.expiresAtMs ?? Infinity);
}

/** Ends a key, and what was delegated with it. */
export async function endApiKey(
  { apiKeys, revocations }: { readonly apiKeys: ApiKeys; readonly revocations: Revocations },
  id: string,
): Promise<void> {
  // A key may never expire: only with it gone does the end of the revocation bring nothing back.
  await revocations.revoke({ kind: 'grant', id, expiresAtMs: Infinity });
  await apiKeys.delete(id);
}

function tooManyKeys(owner: string): DomainError {
  const count = String(KEYS_PER_OWNER_MAX);
  return new DomainError(
    'QUOTA_EXCEEDED',
    `'${owner}' has ${count} API keys that work; revoke some first, or make another user for more`,
    { metadata: { user: owner } },
  );
}

/** API_KEY_NOT_FOUND. */
export function apiKeyNotFound(id: string): DomainError {
  return new DomainError('API_KEY_NOT_FOUND', `there is no API key '${id}'`, {
    metadata: { apiKey: id },
  });
}
