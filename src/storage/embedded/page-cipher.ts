/** What encrypts the pages of a file: each under a nonce of its own, and authenticated. */
import { closeSync, openSync, readSync } from 'node:fs';

import { hasAes } from '../../platform/processor.ts';
import type { Connection } from './database.ts';

/**
 * AEGIS-256 (draft-irtf-cfrg-aegis-aead) for new files where the processor has instructions for AES, without which it is slow;
 * ChaCha20-Poly1305 (RFC 8439) elsewhere, and for files of before.
 */
const PRAGMAS = {
  aegis: [`cipher = 'aegis'`, `algorithm = 'aegis-256'`],
  chacha20: [`cipher = 'chacha20'`],
} as const;

/** What encrypts the pages of a file. */
export type PageCipher = keyof typeof PRAGMAS;

const RESERVED_AT = 20;
const RESERVED: Readonly<Record<number, PageCipher>> = { 32: 'chacha20', 64: 'aegis' };

/** A file and what its pages are read and written with. */
export interface EncryptedFile {
  readonly file: string;
  readonly cipher: PageCipher;
  /** 64 hex digits. */
  readonly dataKey: string;
}

/** How new files are encrypted here. */
export function newCipher(): PageCipher {
  return hasAes() ? 'aegis' : 'chacha20';
}

/**
 * What encrypts a file, by how many bytes it keeps free at the end of each page for nonce and tag, which its header tells in
 * cleartext (SQLite, file format, 1.3). For a file that SQLite has not open in this process: it would lose its locks.
 */
export function cipherInHeader(file: string): PageCipher {
  const header = Buffer.alloc(RESERVED_AT + 1);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, { position: 0 });
  } finally {
    closeSync(descriptor);
  }
  return RESERVED[header.readUInt8(RESERVED_AT)] ?? newCipher();
}

/** Has a connection read and write the pages of its file. */
export function useKey(database: Connection, { cipher, dataKey }: EncryptedFile): void {
  choose(database, cipher);
  database.pragma(`key = '${rawKey(dataKey)}'`);
}

/** Lets a connection read another file, as `source`. */
export function attachSource(database: Connection, { file, cipher, dataKey }: EncryptedFile): void {
  choose(database, cipher);
  database.prepare('ATTACH ? AS source KEY ?').run(file, rawKey(dataKey));
}

/** Encrypts all pages again with another key of 64 hex digits, by the cipher that the file has. */
export function changeKey(database: Connection, dataKey: string): void {
  database.pragma(`rekey = '${rawKey(dataKey)}'`);
}

/** Encrypts all pages of a file that has no key, as new files are: nothing else may have it open, and it must not be in WAL mode. */
export function encrypt(database: Connection, dataKey: string): void {
  choose(database, newCipher());
  changeKey(database, dataKey);
}

/** A key that nothing is derived from. */
function rawKey(dataKey: string): string {
  return `raw:${dataKey}`;
}

function choose(database: Connection, cipher: PageCipher): void {
  for (const pragma of PRAGMAS[cipher]) database.pragma(pragma);
}
