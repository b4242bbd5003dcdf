/**
 * Files that are encrypted in the format of age (age-encryption.org/v1): by the public keys of those who
 * may read them, or by a passphrase. Written and read as streams, 64 KiB at a time; every such piece is
 * authenticated, in its place, and the last one is marked.
 */
import { createReadStream } from 'node:fs';

import { Errors, Flags, type Interfaces } from '@oclif/core';
import { Decrypter, Encrypter } from 'age-encryption';

import { EXIT } from './exit-codes.ts';
import { readSecretFile, usageError } from './input.ts';

/** The flags of commands that write such a file. */
export const encryptionFlags: Interfaces.FlagInput = {
  'encrypt-to': Flags.string({
    description:
      'Encrypts to whoever has the key of this age recipient (age1…), or of those in this file, one a line. May be given several times.',
    multiple: true,
    exclusive: ['passphrase-file'],
  }),
  'passphrase-file': Flags.string({
    description: 'Encrypts with the passphrase in this file, at least 12 characters.',
  }),
};

/** The flags of commands that read such a file. */
export const decryptionFlags: Interfaces.FlagInput = {
  'identity-file': Flags.string({
    description:
      'Decrypts with a key in this file, as age-keygen makes it. May be given several times.',
    multiple: true,
    exclusive: ['passphrase-file'],
  }),
  'passphrase-file': Flags.string({ description: 'Decrypts with the passphrase in this file.' }),
};

/** Parsed flags. */
type KeyFlags = Readonly<Record<string, unknown>>;
/** What a file holds, in pieces. */
export type Content = AsyncIterable<Uint8Array>;

const RECIPIENT = 'age1';
const SECRET_KEY = 'AGE-SECRET-KEY-';
const HEADS = ['age-encryption.org/', '-----BEGIN AGE ENCRYPTED FILE-----'];
const PASSPHRASE_CHARS_MIN = 12;

/** What encrypts as the flags ask; undefined when they do not. */
export function encrypterOf(flags: KeyFlags): Encrypter | undefined {
  const [recipients, passphraseFile] = [listOf(flags, 'encrypt-to'), flags['passphrase-file']];
  const encrypter = new Encrypter();
  if (typeof passphraseFile === 'string') {
    const passphrase = readSecretFile(passphraseFile);
    if (passphrase.length < PASSPHRASE_CHARS_MIN) {
      const wanted = `at least ${String(PASSPHRASE_CHARS_MIN)} characters`;
      throw usageError(`the passphrase in '${passphraseFile}' is too short; it needs ${wanted}`);
    }
    encrypter.setPassphrase(passphrase);
    return encrypter;
  }
  for (const [place, recipient] of recipients.flatMap((one) => [...readRecipients(one)])) {
    addKey(() => {
      encrypter.addRecipient(recipient);
    }, `${place} is no age recipient (age1…)`);
  }
  return recipients.length === 0 ? undefined : encrypter;
}

/** What decrypts with the keys that the flags name; undefined when they name none. */
export function decrypterOf(flags: KeyFlags): Decrypter | undefined {
  const [files, passphraseFile] = [listOf(flags, 'identity-file'), flags['passphrase-file']];
  const decrypter = new Decrypter();
  if (typeof passphraseFile === 'string') decrypter.addPassphrase(readSecretFile(passphraseFile));
  else if (files.length === 0) return undefined;
  for (const [place, key] of files.flatMap((file) => [...readLines(file)])) {
    addKey(() => {
      decrypter.addIdentity(key);
    }, `${place} is no age key (${SECRET_KEY}1…)`);
  }
  return decrypter;
}

/** The content as it is to be written. */
export async function encrypt(
  content: Content,
  encrypter: Encrypter | undefined,
): Promise<Content> {
  return encrypter === undefined ? content : await encrypter.encrypt(ReadableStream.from(content));
}

/**
 * What a file holds, decrypted when there are keys for it; `-` is standard input. An encrypted file is
 * read to its end first, so that nothing of a damaged one is used. Standard input can be read only once:
 * what comes before the damage is used.
 */
export async function readContent(
  file: string,
  decrypter: Decrypter | undefined,
): Promise<Content> {
  const open = (): Content => (file === '-' ? process.stdin : createReadStream(file));
  if (decrypter === undefined) return refuseEncrypted(open());
  if (file !== '-') for await (const _ of decrypt(open(), decrypter));
  return decrypt(open(), decrypter);
}

async function* decrypt(content: Content, decrypter: Decrypter): AsyncIterable<Uint8Array> {
  try {
    yield* await decrypter.decrypt(ReadableStream.from(content));
  } catch (cause) {
    throw refusalOf(cause);
  }
}

async function* refuseEncrypted(content: Content): AsyncIterable<Uint8Array> {
  let isHead = true;
  for await (const chunk of content) {
    if (isHead && HEADS.some((head) => startsWith(chunk, head))) {
      throw usageError('the file is encrypted; use --identity-file or --passphrase-file');
    }
    isHead = false;
    yield chunk;
  }
}

function startsWith(chunk: Uint8Array, head: string): boolean {
  return Buffer.from(chunk.subarray(0, head.length)).toString('latin1') === head;
}

/** The library tells its failures apart only in words; a file system says a code of its own. */
function refusalOf(cause: unknown): unknown {
  if (!(cause instanceof Error) || 'code' in cause) return cause;
  const { message } = cause;
  if (message.startsWith('no identity matched')) {
    const why = 'it was encrypted to others, or its head is damaged; nothing was read';
    return new Errors.CLIError(`no key that was given opens the file: ${why}`, {
      exit: EXIT.denied,
    });
  }
  if (message.startsWith('invalid version')) {
    const wanted = 'one in the binary format of age (age-encryption.org/v1) is wanted';
    return new Errors.CLIError(`the file is not encrypted, or in another way; ${wanted}`, {
      exit: EXIT.invalid,
    });
  }
  const damage = `the encrypted file is damaged or cut off (${message})`;
  return new Errors.CLIError(`${damage}; use another copy of it`, { exit: EXIT.damaged });
}

function* readRecipients(given: string): Iterable<readonly [string, string]> {
  if (given.startsWith(SECRET_KEY)) {
    throw usageError('--encrypt-to has a secret key; give its recipient (age1…), which is public');
  }
  if (given.startsWith(RECIPIENT)) yield ['--encrypt-to', given];
  else yield* readLines(given);
}

/** The lines of a file of keys, each with how to name it without showing it. */
function* readLines(file: string): Iterable<readonly [string, string]> {
  const lines = readSecretFile(file)
    .split('\n')
    .map((line, at) => [`line ${String(at + 1)} of '${file}'`, line.trim()] as const)
    .filter(([, line]) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw usageError(`'${file}' has no keys`);
  yield* lines;
}

/** What the library says of a key may show it. */
function addKey(add: () => void, otherwise: string): void {
  try {
    add();
  } catch {
    throw usageError(otherwise);
  }
}

function listOf(flags: KeyFlags, name: string): readonly string[] {
  return (flags[name] as readonly string[] | undefined) ?? [];
}
