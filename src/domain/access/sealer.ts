import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

import { openRecords, type Records } from './records.ts';
import type { StorageEngine } from '../../storage/engine.ts';

/** Encrypts secrets that must be read again (keys that sign, secrets of one-time codes) for the store. */
export interface Sealer {
  /** `purpose` must be the same when it is opened, so that one secret cannot stand in for another. */
  seal(secret: string, purpose: string): string;
  /** Undefined for what was sealed with another key or changed. */
  open(sealed: string, purpose: string): string | undefined;
}

interface WrappedKey {
  /** The key of this store, sealed with a key made from the secret of the configuration. */
  readonly wrapped: string;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NAME = 'sealing';
/** Keys of secrets that did not open the first one; of more the first is forgotten. */
const OTHERS_MAX = 16;

/**
 * Opens the sealer of a store: a random key, itself sealed with the first of `secrets`. A key that only a
 * later one opens is sealed anew, so that the secret can be changed. `onClosed` is called when none opens
 * it: another key is made beside it, and what was sealed before stays closed until the right secret is back.
 */
export async function openSealer(options: {
  readonly engine: StorageEngine;
  /** The secret of the configuration, then those before it. */
  readonly secrets: readonly string[];
  readonly onClosed: () => void;
}): Promise<Sealer> {
  const { engine, secrets, onClosed } = options;
  const records = await openRecords<WrappedKey>({
    ...{ engine, collection: '$sealing', recordsMax: OTHERS_MAX + 1 },
  });
  const key = await settleKey(records, secrets, onClosed);
  return {
    seal: (secret, purpose) => seal(key, secret, purpose),
    open: (sealed, purpose) => open(key, sealed, purpose),
  };
}

async function settleKey(
  records: Records<WrappedKey>,
  secrets: readonly string[],
  onClosed: () => void,
): Promise<Buffer> {
  // The first one comes first, in the order of names.
  for (const [name, { wrapped: stored }] of records.entries()) {
    const opened = openWith(stored, secrets);
    if (opened?.isCurrent === true) return opened.key;
    if (opened !== undefined) {
      return await keepKey(records, secrets, { name, key: opened.key, stored });
    }
  }
  const key = randomBytes(KEY_BYTES);
  if (records.size === 0) {
    return await keepKey(records, secrets, { name: NAME, key, stored: undefined });
  }
  onClosed();
  const [, ...others] = [...records.entries()].map(([name]) => name);
  const [oldest] = others;
  if (oldest !== undefined && others.length >= OTHERS_MAX) {
    await records.change(oldest, () => undefined);
  }
  return await keepKey(records, secrets, { name: otherNameOf(secrets), key, stored: undefined });
}

/** The same on all nodes that have the secret, and tells nothing of it. */
function otherNameOf([secret = '']: readonly string[]): string {
  return `${NAME}-${createHash('sha256').update(wrapperOf(secret)).digest('hex').slice(0, 16)}`;
}

/** Stores a key in place of what is stored; answers that of another node when it was first. */
async function keepKey(
  records: Records<WrappedKey>,
  secrets: readonly string[],
  {
    name,
    key,
    stored,
  }: { readonly name: string; readonly key: Buffer; readonly stored: string | undefined },
): Promise<Buffer> {
  const [secret = ''] = secrets;
  const wrapped = seal(wrapperOf(secret), key.toString('base64'), NAME);
  // Of nodes that start side by side the first makes the key of all.
  const kept = await records.change(name, (current) =>
    current === undefined || current.wrapped === stored ? { wrapped } : current,
  );
  const isMine = kept === undefined || kept.wrapped === wrapped;
  return isMine ? key : (openWith(kept.wrapped, secrets)?.key ?? key);
}

function openWith(
  stored: string,
  secrets: readonly string[],
): { readonly key: Buffer; readonly isCurrent: boolean } | undefined {
  for (const [at, secret] of secrets.entries()) {
    const text = open(wrapperOf(secret), stored, NAME);
    if (text !== undefined) return { key: Buffer.from(text, 'base64'), isCurrent: at === 0 };
  }
  return undefined;
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
