/**
 * The keyring of a store: a random data key, wrapped by a key derived from the password. The password
 * never reaches the cipher, so that changing it rewraps 32 bytes and touches no page.
 *
 * Argon2id (RFC 9106) derives, ChaCha20-Poly1305 (RFC 8439) wraps, and the parameters of the derivation
 * are authenticated with the key, so that nobody can weaken them unseen.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { argon2id, hash } from 'argon2';

import { DomainError } from '../../errors/domain-error.ts';
import { writeFileDurably } from '../../platform/files.ts';

const FORMAT = 1;
const CIPHER = 'chacha20-poly1305';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SALT_BYTES = 16;
const FILE_NAME = 'keyring.json';
const COPY_NAME = 'keyring.copy.json';

/** The files of a keyring. */
export const KEYRING_FILES: readonly string[] = [FILE_NAME, COPY_NAME];

/** Derivation parameters of new keyrings: 64 MiB, 3 passes, 4 lanes. */
const DERIVATION = { memoryKibibytes: 65_536, passes: 3, lanes: 4 } as const;
/** A keyring asking for more is refused: it would only waste memory. */
const MEMORY_KIBIBYTES_MAX = 4 * 1024 * 1024;
const PASSES_MAX = 100;

interface Derivation {
  readonly name: 'argon2id';
  readonly salt: string;
  readonly memoryKibibytes: number;
  readonly passes: number;
  readonly lanes: number;
}

interface Wrapped {
  readonly nonce: string;
  readonly key: string;
  readonly tag: string;
}

interface Keyring {
  readonly format: number;
  readonly derivation: Derivation;
  /** The key of the pages. */
  readonly wrapped: Wrapped;
  /** The key that others are derived from; absent while it is that of the pages. */
  readonly root?: Wrapped;
  /** The key that the pages are being written again with. */
  readonly next?: Wrapped;
}

/** The keys of a store, each as 64 hex digits. */
export interface StoreKeys {
  /** Encrypts the pages. */
  readonly dataKey: string;
  /** What keys of archives are derived from; stays when the data key is changed. */
  readonly rootKey: string;
  /** While the data key is changed: the pages may be encrypted with this one already. */
  readonly nextKey?: string | undefined;
}

/** Reports whether a store directory belongs to an encrypted store. */
export function hasKeyring(directory: string): boolean {
  return existsSync(join(directory, FILE_NAME)) || existsSync(join(directory, COPY_NAME));
}

/** A new random key. */
export function randomKey(): string {
  return randomBytes(KEY_BYTES).toString('hex');
}

/** Makes a keyring with a new random data key. */
export async function createKeyring(directory: string, password: string): Promise<StoreKeys> {
  const dataKey = randomKey();
  const keys = { dataKey, rootKey: dataKey };
  await writeKeyring(directory, password, keys);
  return keys;
}

/**
 * Wraps the keys of a directory by another password; no page of the store changes. After a crash the
 * store opens with one of the two. ENGINE_UNAVAILABLE when the old password is wrong.
 */
export async function changePassword(
  directory: string,
  passwords: { readonly from: string; readonly to: string },
): Promise<void> {
  await writeKeyring(directory, passwords.to, await openKeyring(directory, passwords.from));
}

/** Writes a keyring, the file and its copy, so that after a crash there is the old one or the new one. */
export async function writeKeyring(
  directory: string,
  password: string,
  { dataKey, rootKey, nextKey }: StoreKeys,
): Promise<void> {
  const salt = randomBytes(SALT_BYTES).toString('base64');
  const derivation: Derivation = { name: 'argon2id', salt, ...DERIVATION };
  const wrappingKey = await derive(password, derivation);
  const keyring: Keyring = {
    ...{ format: FORMAT, derivation, wrapped: wrap(dataKey, wrappingKey, derivation) },
    ...(rootKey === dataKey ? {} : { root: wrap(rootKey, wrappingKey, derivation) }),
    ...(nextKey === undefined ? {} : { next: wrap(nextKey, wrappingKey, derivation) }),
  };
  const text = `${JSON.stringify(keyring, undefined, 2)}\n`;
  await writeFileDurably(join(directory, FILE_NAME), text);
  await writeFileDurably(join(directory, COPY_NAME), text);
}

function wrap(key: string, wrappingKey: Buffer, derivation: Derivation): Wrapped {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, wrappingKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(derivation), { plaintextLength: KEY_BYTES });
  const wrapped = Buffer.concat([cipher.update(Buffer.from(key, 'hex')), cipher.final()]);
  return {
    nonce: nonce.toString('base64'),
    key: wrapped.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
  };
}

function unwrap(wrapped: Wrapped, wrappingKey: Buffer, derivation: Derivation): string {
  const nonce = Buffer.from(wrapped.nonce, 'base64');
  const decipher = createDecipheriv(CIPHER, wrappingKey, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(derivation), { plaintextLength: KEY_BYTES });
  decipher.setAuthTag(Buffer.from(wrapped.tag, 'base64'));
  return Buffer.concat([decipher.update(wrapped.key, 'base64'), decipher.final()]).toString('hex');
}

/**
 * Unwraps the keys, from the copy when the first file is damaged.
 *
 * ENGINE_UNAVAILABLE when the password is wrong; CORRUPTION_DETECTED when neither file is a keyring.
 */
export async function openKeyring(directory: string, password: string): Promise<StoreKeys> {
  const keyring =
    readKeyring(join(directory, FILE_NAME)) ?? readKeyring(join(directory, COPY_NAME));
  if (keyring === undefined) {
    throw new DomainError(
      'CORRUPTION_DETECTED',
      `neither '${FILE_NAME}' nor '${COPY_NAME}' in '${directory}' is a keyring of this release; restore one`,
      { metadata: { directory } },
    );
  }
  const { derivation, wrapped, root, next } = keyring;
  const wrappingKey = await derive(password, derivation);
  try {
    const dataKey = unwrap(wrapped, wrappingKey, derivation);
    return {
      dataKey,
      rootKey: root === undefined ? dataKey : unwrap(root, wrappingKey, derivation),
      nextKey: next && unwrap(next, wrappingKey, derivation),
    };
  } catch {
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `the encryption key does not open the store in '${directory}'; give the key it was made with`,
      { metadata: { directory } },
    );
  }
}

/** A key for one purpose from the root key, by HKDF with SHA-256 (RFC 5869); undefined without one. */
export function deriveKey(rootKey: string | undefined, purpose: string): Uint8Array | undefined {
  if (rootKey === undefined) return undefined;
  const key = Buffer.from(rootKey, 'hex');
  return new Uint8Array(hkdfSync('sha256', key, '', `moltendb ${purpose}`, KEY_BYTES));
}

function authenticated(derivation: Derivation): Buffer {
  const { name, salt, memoryKibibytes, passes, lanes } = derivation;
  return Buffer.from(JSON.stringify([FORMAT, name, salt, memoryKibibytes, passes, lanes]));
}

function derive(password: string, derivation: Derivation): Promise<Buffer> {
  return hash(password, {
    type: argon2id,
    raw: true,
    salt: Buffer.from(derivation.salt, 'base64'),
    memoryCost: derivation.memoryKibibytes,
    timeCost: derivation.passes,
    parallelism: derivation.lanes,
    hashLength: KEY_BYTES,
  });
}

function readKeyring(path: string): Keyring | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isKeyring(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isKeyring(value: unknown): value is Keyring {
  if (!isRecord(value) || value['format'] !== FORMAT) return false;
  const { derivation, wrapped, root, next } = value;
  return (
    isDerivation(derivation) &&
    isWrapped(wrapped) &&
    (root === undefined || isWrapped(root)) &&
    (next === undefined || isWrapped(next))
  );
}

function isDerivation(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { name, memoryKibibytes, passes, lanes } = value;
  return (
    name === 'argon2id' &&
    isBetween(memoryKibibytes, 1, MEMORY_KIBIBYTES_MAX) &&
    isBetween(passes, 1, PASSES_MAX) &&
    isBetween(lanes, 1, PASSES_MAX) &&
    isBytes(value['salt'], SALT_BYTES)
  );
}

function isWrapped(value: unknown): boolean {
  return (
    isRecord(value) &&
    isBytes(value['nonce'], NONCE_BYTES) &&
    isBytes(value['key'], KEY_BYTES) &&
    isBytes(value['tag'], TAG_BYTES)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && value >= min && value <= max;
}

function isBytes(value: unknown, length: number): boolean {
  return typeof value === 'string' && Buffer.from(value, 'base64').length === length;
}
