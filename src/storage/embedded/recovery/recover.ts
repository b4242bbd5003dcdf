/**
 * Recovery of a store that is not open: a copy of a store or a snapshot, continued from an archive of the
 * log, taken back to a point, and read through. What is recovered from is only read.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { DomainError } from '../../../errors/domain-error.ts';
import type { LogEntry } from '../../types.ts';
import { syncDirectory } from '../../../platform/files.ts';
import { listFiles } from '../copy.ts';
import {
  createStatements,
  openConnection,
  sqliteCode,
  type Connection,
  type Sql,
} from '../database.ts';
import {
  deriveKey,
  hasKeyring,
  KEYRING_FILES,
  randomKey,
  writeKeyring,
  type StoreKeys,
} from '../keyring.ts';
import { readFloor } from '../floor.ts';
import { readEnd } from '../log-writer.ts';
import { STORE_FILE } from '../store-file.ts';
import { openKeys } from '../store-keys.ts';
import { checkStore, type CheckedStore } from './check.ts';
import { createReplayer } from './replay.ts';
import { beginTimeline, rewind } from './rewind.ts';

/** The point to go to. */
export type RecoveryTarget =
  | { readonly kind: 'sequence'; readonly sequence: number }
  /** Unix milliseconds: after the last commit at or before it. */
  | { readonly kind: 'time'; readonly timestampMs: number }
  /** As far as there is anything. */
  | { readonly kind: 'end' };

/** What is recovered, and where to. */
export interface RecoveryRequest {
  /** The directory of a store or of a snapshot. */
  readonly source: string;
  /** Must not exist. */
  readonly out: string;
  readonly password: string | undefined;
  readonly target: RecoveryTarget;
  /** Entries behind the source, ascending; asked for with the key of the archive. */
  readonly archive: (key: Uint8Array | undefined, epoch: string) => Iterable<LogEntry>;
}

/** What a recovery came to. */
export interface RecoveryReport {
  /** The last sequence of the recovered store, and its commit time. */
  readonly sequence: number;
  readonly timestampMs: number;
  /** Where the source ended. */
  readonly sourceSequence: number;
  /** Entries taken from the archive. */
  readonly replayedEntries: number;
  /** Entries behind the point that were cut off. */
  readonly removedEntries: number;
  readonly checked: CheckedStore;
  readonly notes: readonly string[];
}

const PAGE_CACHE_BYTES = 256 * 1024 * 1024;

/** The end of the name of a directory that is not complete. */
export const PARTIAL_SUFFIX = '.partial';

/**
 * Recovers into a new directory and reads all of it. Nothing stays of a recovery that fails.
 *
 * SEQUENCE_COMPACTED or SEQUENCE_IN_FUTURE for a point out of reach, CORRUPTION_DETECTED for a damaged
 * source or archive, ENGINE_UNAVAILABLE for a wrong password, ARGUMENT_INVALID when `out` exists.
 */
export async function recoverStore(request: RecoveryRequest): Promise<RecoveryReport> {
  const { out, source } = request;
  if (!existsSync(join(source, STORE_FILE))) throw noStore(source);
  const keys = await keysOf(source, request.password);
  return await buildDirectory(out, async (partial) =>
    recoverInto({ ...request, out: partial }, keys),
  );
}

/**
 * Gives a directory its name only when what is built in it is complete; nothing stays of what fails. What
 * a killed process left under the other name is removed by the next one.
 */
async function buildDirectory<T>(out: string, build: (partial: string) => Promise<T>): Promise<T> {
  if (existsSync(out)) throw exists(out);
  const partial = `${out}${PARTIAL_SUFFIX}`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    const result = await build(partial);
    await listFiles(partial);
    await syncDirectory(partial);
    renameSync(partial, out);
    await syncDirectory(dirname(out));
    return result;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw toReadError(error, out);
  }
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

/** The data key of a directory, or undefined when it is not encrypted. */
export async function keyOf(
  directory: string,
  password: string | undefined,
): Promise<string | undefined> {
  return (await keysOf(directory, password))?.dataKey;
}

async function keysOf(
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

/** Opens the file of a directory; nothing else may have it open for writing. */
export function openFile(
  directory: string,
  dataKey: string | undefined,
  access: 'read' | 'write',
): Connection {
  const file = join(directory, STORE_FILE);
  return openConnection({ file, dataKey, access, cacheBytes: PAGE_CACHE_BYTES });
}

function recoverInto(request: RecoveryRequest, keys: StoreKeys | undefined): RecoveryReport {
  const { source, out } = request;
  const dataKey = keys?.dataKey;
  copySource(source, out, dataKey);
  const database = openFile(out, dataKey, 'write');
  try {
    database.pragma('journal_mode = WAL');
    const sql = createStatements(database);
    const sourceSequence = readEnd(sql).sequence;
    sql('BEGIN IMMEDIATE').run();
    const { replayedEntries, isCut } = replay(sql, request, deriveKey(keys?.rootKey, 'archive'));
    const { removedEntries, notes } = goTo(sql, request.target, isCut);
    if (replayedEntries > 0) notes.push(INDEXES_NOTE);
    notes.push(...indexNotes(sql), ...(request.target.kind === 'end' ? [] : [ACCESS_NOTE]));
    sql('COMMIT').run();
    database.pragma('wal_checkpoint(TRUNCATE)');
    const checked = checkStore(database);
    if (checked.problems.length > 0) throw unsound(out, checked.problems);
    const { sequence, timestampMs } = checked;
    return {
      ...{ sequence, timestampMs, sourceSequence, replayedEntries, removedEntries, notes, checked },
    };
  } finally {
    database.close();
  }
}

function copySource(source: string, out: string, dataKey: string | undefined): void {
  for (const name of KEYRING_FILES) {
    if (existsSync(join(source, name))) copyFileSync(join(source, name), join(out, name));
  }
  vacuumInto({ source, out, dataKey });
}

function vacuumInto(paths: {
  readonly source: string;
  readonly out: string;
  readonly dataKey: string | undefined;
}): void {
  const { source, out, dataKey } = paths;
  const database = openFile(source, dataKey, 'read');
  try {
    // Also what is still in the write-ahead log beside the file.
    database.prepare('VACUUM INTO ?').run(join(out, STORE_FILE));
  } finally {
    database.close();
  }
}

function replay(
  sql: Sql,
  { target, archive }: RecoveryRequest,
  key: Uint8Array | undefined,
): { readonly replayedEntries: number; readonly isCut: boolean } {
  const epoch = String(sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get());
  const { sequence: start } = readEnd(sql);
  const replayer = createReplayer(sql);
  let replayedEntries = 0;
  let isCut = false;
  for (const commit of commitsOf(archive(key, epoch), start)) {
    // A commit belongs to the state before it or to the one after it, never in part.
    isCut = commit.some((entry) => isBehind(entry, target));
    if (isCut) break;
    for (const entry of commit) replayer.apply(entry);
    replayedEntries += commit.length;
  }
  replayer.save();
  return { replayedEntries, isCut };
}

/** Indexes are declared beside the log, not in it. */
const INDEXES_NOTE = 'indexes that were declared after the snapshot are to be declared again';
const ACCESS_NOTE =
  'users, roles and keys are as they were then, and revocations made later are gone; run `molten tokens revoke --all` if in doubt';

/** Which indexes there are, so that nobody has to guess. */
function indexNotes(sql: Sql): readonly string[] {
  const rows = sql(
    'SELECT c.name AS collection, i.name, i.is_unique FROM idx i JOIN collection c ON c.id = i.collection',
  ).all() as { readonly collection: string; readonly name: string; readonly is_unique: number }[];
  const names = rows.map(
    ({ collection, name, is_unique: unique }) =>
      `${collection}.${name}${unique === 1 ? ' (unique)' : ''}`,
  );
  const list = names.length === 0 ? 'none' : names.join(', ');
  return [`indexes, built anew when it is opened: ${list}`];
}

function* commitsOf(entries: Iterable<LogEntry>, after: number): Iterable<readonly LogEntry[]> {
  let commit: LogEntry[] = [];
  for (const entry of entries) {
    if (entry.sequence <= after) continue;
    if (commit.length > 0 && commit[0]?.commit !== entry.commit) {
      yield commit;
      commit = [];
    }
    commit.push(entry);
  }
  if (commit.length > 0) yield commit;
}

function isBehind(entry: LogEntry, target: RecoveryTarget): boolean {
  switch (target.kind) {
    case 'sequence':
      return entry.sequence > target.sequence;
    case 'time':
      return entry.timestampMs > target.timestampMs;
    case 'end':
      return false;
  }
}

function goTo(
  sql: Sql,
  target: RecoveryTarget,
  isCut: boolean,
): { readonly removedEntries: number; readonly notes: string[] } {
  const { sequence: last } = readEnd(sql);
  const asked = sequenceOf(sql, target, last);
  // The archive was left where the commit begins that the point lies in.
  const sequence = isCut ? Math.min(asked, last) : wholeCommit(sql, asked);
  const notes =
    sequence === asked
      ? []
      : [
          `sequence ${String(asked)} lies inside a commit; the last whole one ends at ${String(sequence)}`,
        ];
  if (sequence !== last) {
    const rewound = rewind(sql, sequence);
    return { ...rewound, notes: [...notes, ...rewound.notes] };
  }
  sql('DELETE FROM request').run();
  beginTimeline(sql, last);
  return { removedEntries: 0, notes };
}

function sequenceOf(sql: Sql, target: RecoveryTarget, last: number): number {
  switch (target.kind) {
    case 'sequence':
      return target.sequence;
    case 'time': {
      const found = sql('SELECT max(seq) FROM ver WHERE ts <= ?').pluck().get(target.timestampMs);
      const floor = readFloor(sql);
      const isKept = floor.timestampMs <= target.timestampMs;
      return Math.max(Number(found ?? 0), isKept ? floor.sequence : 0);
    }
    case 'end':
      return last;
  }
}

/** The end of the last commit that is whole at a sequence. */
function wholeCommit(sql: Sql, sequence: number): number {
  const first = sql('SELECT first FROM ver WHERE seq = ?')
    .pluck()
    .get(sequence + 1) as number | undefined;
  return first !== undefined && first <= sequence ? first - 1 : sequence;
}

/**
 * Writes a store again under a new data key, into a new directory, and reads all of it. Snapshots and
 * archives from before keep their old key; the new store starts a timeline of its own.
 */
export async function rotateDataKey(request: {
  readonly source: string;
  readonly out: string;
  readonly password: string;
}): Promise<CheckedStore> {
  const { source, out, password } = request;
  if (!existsSync(join(source, STORE_FILE))) throw noStore(source);
  const old = await keysOf(source, password);
  return await buildDirectory(out, async (partial) => {
    const dataKey = randomKey();
    // What archives are read with stays.
    await writeKeyring(partial, password, { dataKey, rootKey: old?.rootKey ?? dataKey });
    vacuumInto({ source, out: partial, dataKey: old?.dataKey });
    return rekey(partial, old?.dataKey, dataKey);
  });
}

function rekey(out: string, oldKey: string | undefined, newKey: string): CheckedStore {
  const before = openFile(out, oldKey, 'write');
  try {
    before.pragma('journal_mode = DELETE');
    if (oldKey === undefined) before.pragma(`cipher = 'chacha20'`);
    before.pragma(`rekey = 'raw:${newKey}'`);
  } finally {
    before.close();
  }
  const after = openFile(out, newKey, 'write');
  try {
    const sql = createStatements(after);
    sql('BEGIN IMMEDIATE').run();
    beginTimeline(sql, readEnd(sql).sequence);
    sql('COMMIT').run();
    const checked = checkStore(after);
    if (checked.problems.length > 0) throw unsound(out, checked.problems);
    return checked;
  } finally {
    after.close();
  }
}

/** Checks a directory as it is: a store or a snapshot. */
export async function checkDirectory(
  directory: string,
  password: string | undefined,
): Promise<CheckedStore> {
  if (!existsSync(join(directory, STORE_FILE))) throw noStore(directory);
  const database = openFile(directory, await keyOf(directory, password), 'read');
  try {
    return checkStore(database);
  } finally {
    database.close();
  }
}

/** The key of the archive of a store, from the keyring beside it. */
export async function archiveKeyOf(
  directory: string,
  password: string | undefined,
): Promise<Uint8Array | undefined> {
  return deriveKey((await keysOf(directory, password))?.rootKey, 'archive');
}

function exists(out: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `'${out}' exists; recovery only writes into a new directory`,
    { metadata: { directory: out } },
  );
}

function noStore(directory: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `there is no store in '${directory}'`, {
    metadata: { directory },
  });
}

function unsound(out: string, problems: readonly string[]): DomainError {
  return new DomainError(
    'CORRUPTION_DETECTED',
    `what was recovered is not sound: ${problems.slice(0, 3).join('; ')}`,
    { metadata: { directory: out } },
  );
}
