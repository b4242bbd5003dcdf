/** Directories of stores that no engine has open: opening their files, and building new ones. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { DomainError } from '../../../errors/domain-error.ts';
import { syncDirectory, syncFile } from '../../../platform/files.ts';
import { openConnection, sqliteCode, type Connection } from '../database.ts';
import { hasKeyring, type StoreKeys } from '../keyring.ts';
import { STORE_FILE } from '../store-file.ts';
import { openKeys } from '../store-keys.ts';
import { checkStore, type CheckedStore } from './check.ts';

/** The end of the name of a directory that is not complete. */
export const PARTIAL_SUFFIX = '.partial';

/** As much of a file as fits is read once and not again: of the free memory a quarter, at most this. */
const PAGE_CACHE_BYTES_MAX = 1024 * 1024 * 1024;
const MEMORY_SHARE = 4;

/** The file of a store, and how it is opened. */
export interface FileAccess {
  readonly directory: string;
  readonly dataKey: string | undefined;
  /** Nothing else may have it open for writing. */
  readonly access: 'read' | 'write';
}

/** Opens the file of a directory for the time of some work. */
export async function withFile<T>(
  { directory, ...access }: FileAccess,
  work: (database: Connection) => T | Promise<T>,
): Promise<T> {
  const free = Math.floor(process.availableMemory() / MEMORY_SHARE);
  const cacheBytes = Math.min(free, PAGE_CACHE_BYTES_MAX);
  const database = openConnection({ ...access, file: join(directory, STORE_FILE), cacheBytes });
  try {
    return await work(database);
  } finally {
    database.close();
  }
}

/** The keys of a directory, or undefined when it is not encrypted. */
export async function keysOf(
  directory: string,
  password: string | undefined,
): Promise<StoreKeys | undefined> {
  if (!hasKeyring(directory)) return undefined;
  if (password !== undefined) return await openKeys(directory, password);
  throw new DomainError(
    'ENGINE_UNAVAILABLE',
    `the store in '${directory}' is encrypted; give its encryption key`,
    { metadata: { directory } },
  );
}

/** ARGUMENT_INVALID when a directory holds no store. */
export function demandStore(directory: string): void {
  if (existsSync(join(directory, STORE_FILE))) return;
  throw new DomainError('ARGUMENT_INVALID', `there is no store in '${directory}'`, {
    metadata: { directory },
  });
}

/**
 * Gives a directory its name only when what is built in it is complete; nothing stays of what fails. What
 * a killed process left under the other name is removed by the next one.
 */
export async function buildDirectory<T>(
  out: string,
  build: (partial: string) => Promise<T>,
): Promise<T> {
  if (existsSync(out)) throw exists(out);
  const partial = `${out}${PARTIAL_SUFFIX}`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    const result = await build(partial);
    for (const name of await readdir(partial)) await syncFile(join(partial, name));
    await syncDirectory(partial);
    renameSync(partial, out);
    await syncDirectory(dirname(out));
    return result;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw toReadError(error, out);
  }
}

/** Reads all of what was built, from the file and not from memory. CORRUPTION_DETECTED when it is unsound. */
export async function checkBuilt(
  directory: string,
  dataKey: string | undefined,
): Promise<CheckedStore> {
  const checked = await withFile({ directory, dataKey, access: 'read' }, checkStore);
  if (checked.problems.length === 0) return checked;
  throw new DomainError(
    'CORRUPTION_DETECTED',
    `what was written is not sound: ${checked.problems.slice(0, 3).join('; ')}`,
    { metadata: { directory } },
  );
}

/** Damage that SQLite met is damage, and named so. */
function toReadError(error: unknown, directory: string): unknown {
  const code = sqliteCode(error) ?? '';
  if (!/^SQLITE_(?:CORRUPT|NOTADB|IOERR)/.test(code)) return error;
  return new DomainError(
    'CORRUPTION_DETECTED',
    `what is recovered from is damaged (${code}); use a snapshot, or an older one`,
    { metadata: { directory }, cause: error },
  );
}

function exists(out: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `'${out}' exists; name a directory that is not there yet`,
    { metadata: { directory: out } },
  );
}
