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

type PageCipher = keyof typeof PRAGMAS;

/**
 * Where the header of a file tells how many bytes are kept free at the end of each page (SQLite, file format, 1.3); not encrypted. They
 * hold the nonce and the tag, of which each cipher has as many as it needs.
 */
const RESERVED_AT = 20;
const RESERVED: Readonly<Record<number, PageCipher>> = { 32: 'chacha20', 64: 'aegis' };

/** How new files are encrypted here. */
const NEW: PageCipher = hasAes() ? 'aegis' : 'chacha20';

/** Has a connection read and write the pages of its file with a key of 64 hex digits. */
export function useKey(database: Connection, file: string, dataKey: string): void {
  choose(database, cipherOf(file));
  database.pragma(`key = '${rawKey(dataKey)}'`);
}

/** Lets a connection read another file, as `source`; both have the same key, or none. */
export function attachSource(
  database: Connection,
  file: string,
  dataKey: string | undefined,
): void {
  if (dataKey === undefined) {
    database.prepare('ATTACH ? AS source').run(file);
    return;
  }
  choose(database, cipherOf(file));
  database.prepare('ATTACH ? AS source KEY ?').run(file, rawKey(dataKey));
}

/** Encrypts all pages again with another key, by the cipher that the file has. */
export function changeKey(database: Connection, dataKey: string): void {
  database.pragma(`rekey = '${rawKey(dataKey)}'`);
}

/** The same, as new files are: nothing else may have the file open, and it must not be in WAL mode. */
export function encryptAnew(database: Connection, dataKey: string): void {
  choose(database, NEW);
  changeKey(database, dataKey);
}

/** A key that nothing is derived from. */
function rawKey(dataKey: string): string {
  return `raw:${dataKey}`;
}

function choose(database: Connection, cipher: PageCipher): void {
  for (const pragma of PRAGMAS[cipher]) database.pragma(pragma);
}

function cipherOf(file: string): PageCipher {
  const header = Buffer.alloc(RESERVED_AT + 1);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, { position: 0 });
  } finally {
    closeSync(descriptor);
  }
  return RESERVED[header.readUInt8(RESERVED_AT)] ?? NEW;
}
