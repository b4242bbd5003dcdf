import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

import { DomainError } from '../errors/domain-error.ts';

/** Only the owner may read or write. */
const PRIVATE_MODE = 0o600;

/**
 * Writes a whole file so that after a crash there is either the old one or the new one: a temporary
 * file, fsync, rename, fsync of the directory. Mode 0600.
 */
export async function writeFileDurably(path: string, content: string | Buffer): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', PRIVATE_MODE);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes renames and new files of a directory survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes the content of a file survive a power failure. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The SHA-256 of a file, in lower-case hex, read in pieces. CANCELED when the signal aborts. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    if (signal?.aborted === true) throw new DomainError('CANCELED', 'reading was canceled');
    hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}
