import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openRecords, type Records } from './records.ts';

/** Encrypts secrets that must be read again (keys that sign, secrets of one-time codes) for the store. */
export interface Sealer {
  /**
   * `purpose` must be the same when it is opened, so that one secret cannot stand in for another. QUOTA_EXCEEDED
   * when that needs a key and the store keeps too many that no secret of the configuration opens.
   */
  seal(secret: string, purpose: string): Promise<string>;
  /** Undefined for what was sealed with a key that is closed, or changed. */
  open(sealed: string, purpose: string): string | undefined;
}

interface WrappedKey {
  /** A key of this store, sealed with a key made from a secret of the configuration. */
  readonly wrapped: string;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NAME = 'sealing';
/** None is ever dropped: something is sealed with each. */
const KEYS_MAX = 17;

/**
 * Opens the sealer of a store: random keys, each itself sealed with a secret of the configuration. All that one of
 * `secrets` opens open what was sealed with them, and are sealed anew with the first, so that the secret can be
 * changed. `onClosed` is called when none opens one of them: what was sealed with that stays closed until its secret
 * is back. When none is open, another is made as soon as something is to be sealed.
 */
export async function openSealer(options: {
  readonly engine: StorageEngine;
  /** The secret of the configuration, then those before it. */
  readonly secrets: readonly string[];
  readonly onClosed: () => void;
}): Promise<Sealer> {
  const { engine, secrets, onClosed } = options;
  const records = await openRecords<WrappedKey>({
    ...{ engine, collection: '$sealing', recordsMax: KEYS_MAX },
  });
  const keys = new SealingKeys(records, secrets);
  await keys.rewrap();
  // Of all nodes, which know it from their start on.
  if (records.size === 0) await keys.current();
  if (keys.opened().length < records.size) onClosed();
  return {
    seal: async (secret, purpose) => seal(await keys.current(), secret, purpose),
    open(sealed, purpose) {
      for (const key of keys.opened()) {
        const secret = open(key, sealed, purpose);
        if (secret !== undefined) return secret;
      }
      return undefined;
    },
  };
}

/** The keys of a store, as far as the secrets of the configuration open them. */
class SealingKeys {
  readonly #records: Records<WrappedKey>;
  /** Made from the secrets, the one of today first. */
  readonly #wrappers: readonly Buffer[];
  /** By name. One that was open stays open, also when a node with another secret seals it anew. */
  readonly #opened = new Map<string, Buffer>();
  #revision: number | undefined;
  #making: Promise<Buffer> | undefined;

  constructor(records: Records<WrappedKey>, secrets: readonly string[]) {
    this.#records = records;
    this.#wrappers = secrets.map(wrapperOf);
  }

  /** Those that are open. */
  opened(): readonly Buffer[] {
    const { revision } = this.#records;
    if (this.#revision !== revision) {
      for (const [name, { wrapped }] of this.#records.entries()) this.#unwrap(name, wrapped);
      this.#revision = revision;
    }
    return [...this.#opened.values()];
  }

  /** The one that seals. */
  async current(): Promise<Buffer> {
    const [key] = this.opened();
    if (key !== undefined) return key;
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return await this.#making;
  }

  /** Seals with the secret of today what only one before it opens. */
  async rewrap(): Promise<void> {
    const [today, ...before] = this.#wrappers;
    if (today === undefined) return;
    for (const [name, { wrapped }] of [...this.#records.entries()]) {
      const key = before.map((one) => unwrap(one, wrapped)).find((one) => one !== undefined);
      if (key === undefined) continue;
      const again = wrap(today, key);
      await this.#records.change(name, (stored) =>
        stored?.wrapped === wrapped ? { wrapped: again } : stored,
      );
    }
  }

  /** Of nodes that make one side by side the first makes it for all that open it. */
  async #make(): Promise<Buffer> {
    const [today] = this.#wrappers;
    invariant(today !== undefined, 'the configuration has a secret');
    const wrapped = wrap(today, randomBytes(KEY_BYTES));
    for (let n = 0; this.#records.size < KEYS_MAX; n++) {
      const name = n === 0 ? NAME : `${NAME}-${String(n)}`;
      if (this.#records.get(name) !== undefined) continue;
      const kept = await this.#records.change(name, (stored) => stored ?? { wrapped });
      const key = kept && this.#unwrap(name, kept.wrapped);
      if (key !== undefined) return key;
    }
    throw tooMany();
  }

  #unwrap(name: string, wrapped: string): Buffer | undefined {
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const [key] = this.#wrappers.flatMap((one) => unwrap(one, wrapped) ?? []);
    if (key !== undefined) this.#opened.set(name, key);
    return key;
  }
}

function wrap(wrapper: Buffer, key: Buffer): string {
  return seal(wrapper, key.toString('base64'), NAME);
}

function unwrap(wrapper: Buffer, wrapped: string): Buffer | undefined {
  const text = open(wrapper, wrapped, NAME);
  return text === undefined ? undefined : Buffer.from(text, 'base64');
}

function tooMany(): DomainError {
  return new DomainError(
    'QUOTA_EXCEEDED',
    `the store keeps ${String(KEYS_MAX)} keys that seal its secrets, and neither --jwt-secret nor --jwt-secret-previous opens one: start with a secret that was used before, as one of them`,
    { metadata: { limit: String(KEYS_MAX) } },
  );
}

/** HKDF (RFC 5869): the secret of the configuration is random, so that no slow hash is needed. */
function wrapperOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'moltendb sealing key', KEY_BYTES));
}

/** AES-256-GCM: nonce, tag, ciphertext, in base64. */
function seal(key: Buffer, secret: string, purpose: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(contextOf(purpose));
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
}

function open(key: Buffer, text: string, purpose: string): string | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
    .setAAD(contextOf(purpose))
    .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  try {
    const sealed = bytes.subarray(NONCE_BYTES + TAG_BYTES);
    return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

function contextOf(purpose: string): Buffer {
  return createHash('sha256').update(purpose).digest();
}
