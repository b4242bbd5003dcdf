/**
 * Recovery of a store that is not open: a copy of a store or a snapshot as it was at a point, or continued
 * from an archive of the log up to it, and read through. What is recovered from is only read.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

import { DomainError } from '../../../errors/domain-error.ts';
import type { LogEntry } from '../../types.ts';
import { createStatements, type Connection, type Sql } from '../database.ts';
import { readFloor } from '../floor.ts';
import { deriveKey, KEYRING_FILES, type StoreKeys } from '../keyring.ts';
import { readEnd, wholeCommit } from '../log-writer.ts';
import { STORE_FILE } from '../store-file.ts';
import { checkStore, type CheckedStore } from './check.ts';
import { copyAt } from './copy-at.ts';
import { buildDirectory, checkBuilt, demandStore, keysOf, withFile } from './directory.ts';
import { createReplayer } from './replay.ts';
import { beginTimeline } from './timeline.ts';

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

/**
 * Recovers into a new directory and reads all of it. Nothing stays of a recovery that fails.
 *
 * SEQUENCE_COMPACTED or SEQUENCE_IN_FUTURE for a point out of reach, CORRUPTION_DETECTED for a damaged
 * source or archive, ENGINE_UNAVAILABLE for a wrong password, ARGUMENT_INVALID when `out` exists and for a time before
 * the first commit.
 */
export async function recoverStore(request: RecoveryRequest): Promise<RecoveryReport> {
  const { out, source } = request;
  demandStore(source);
  const keys = await keysOf(source, request.password);
  return await buildDirectory(out, (partial) => recoverInto({ ...request, out: partial }, keys));
}

type Recovered = Omit<RecoveryReport, 'checked' | 'sequence' | 'timestampMs'>;

async function recoverInto(
  request: RecoveryRequest,
  keys: StoreKeys | undefined,
): Promise<RecoveryReport> {
  const { source, out } = request;
  const dataKey = keys?.dataKey;
  for (const name of KEYRING_FILES) {
    if (existsSync(join(source, name))) copyFileSync(join(source, name), join(out, name));
  }
  const recovered = await withFile({ directory: source, dataKey, access: 'read' }, (before) => {
    const point = pointIn(createStatements(before), request.target);
    return withFile({ directory: out, dataKey, access: 'write' }, (database) =>
      write(database, {
        ...{ ...request, point, dataKey },
        archiveKey: deriveKey(keys?.rootKey, 'archive'),
      }),
    );
  });
  const checked = await checkBuilt(out, dataKey);
  const { sequence, timestampMs } = checked;
  return { sequence, timestampMs, ...recovered, checked };
}

interface WriteRequest extends RecoveryRequest {
  readonly point: Point;
  readonly dataKey: string | undefined;
  readonly archiveKey: Uint8Array | undefined;
}

function write(database: Connection, request: WriteRequest): Recovered {
  const { source, target, point, dataKey } = request;
  const { asked, last } = point;
  // What fails is thrown away whole, and what succeeds is flushed before it gets its name.
  database.pragma('journal_mode = OFF');
  database.pragma('synchronous = OFF');
  const notes = [
    ...copyAt(database, { file: join(source, STORE_FILE), dataKey, sequence: point.sequence }),
  ];
  const sql = createStatements(database);
  sql('BEGIN').run();
  const { replayedEntries, isCut } =
    asked < last ? { replayedEntries: 0, isCut: false } : replay(sql, request);
  const end = readEnd(sql).sequence;
  if (asked > last && asked > end && !isCut) throw beyond(asked, end);
  if (asked > end) notes.unshift(insideCommit(asked, end));
  if (replayedEntries > 0) notes.push(INDEXES_NOTE);
  notes.push(...indexNotes(sql), ...(target.kind === 'end' ? [] : [ACCESS_NOTE]));
  beginTimeline(sql, end);
  sql('COMMIT').run();
  const removedEntries = last - point.sequence;
  return { sourceSequence: last, replayedEntries, removedEntries, notes };
}

function replay(
  sql: Sql,
  { target, archive, archiveKey }: WriteRequest,
): { readonly replayedEntries: number; readonly isCut: boolean } {
  const epoch = String(sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get());
  const { sequence: start } = readEnd(sql);
  const replayer = createReplayer(sql);
  let replayedEntries = 0;
  let isCut = false;
  for (const commit of commitsOf(archive(archiveKey, epoch), start)) {
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

/** Where a recovery goes to, as far as its source knows. */
interface Point {
  /** May lie behind the source. */
  readonly asked: number;
  /** The end of the last whole commit at or before it. */
  readonly sequence: number;
  /** Where the source ends. */
  readonly last: number;
}

function pointIn(sql: Sql, target: RecoveryTarget): Point {
  const { sequence: last } = readEnd(sql);
  const asked = sequenceOf(sql, target, last);
  return { asked, last, sequence: Math.min(wholeCommit(sql, asked), last) };
}

function sequenceOf(sql: Sql, target: RecoveryTarget, last: number): number {
  switch (target.kind) {
    case 'sequence':
      return target.sequence;
    case 'time': {
      const found = sql('SELECT max(seq) FROM ver WHERE ts <= ?').pluck().get(target.timestampMs);
      const floor = readFloor(sql);
      const isKept = floor.timestampMs <= target.timestampMs;
      const reached = Math.max(Number(found ?? 0), isKept ? floor.sequence : 0);
      if (reached === 0 && floor.sequence === 0) refuseBeforeFirst(sql, target.timestampMs);
      return reached;
    }
    case 'end':
      return last;
  }
}

/** Before the first commit there was no store, and whoever asks for that has mistyped the time. */
function refuseBeforeFirst(sql: Sql, timestampMs: number): void {
  const first = sql('SELECT min(ts) FROM ver').pluck().get() as number | null;
  if (first === null) return;
  const [asked, begun] = [timestampMs, first].map((ms) => new Date(ms).toISOString());
  throw new DomainError(
    'ARGUMENT_INVALID',
    `there was nothing yet at ${String(asked)}: the first commit is of ${String(begun)}; give a later time`,
  );
}

/** Checks a directory as it is: a store or a snapshot. */
export async function checkDirectory(
  directory: string,
  password: string | undefined,
): Promise<CheckedStore> {
  demandStore(directory);
  const dataKey = (await keysOf(directory, password))?.dataKey;
  return await withFile({ directory, dataKey, access: 'read' }, checkStore);
}

/** The key of the archive of a store, from the keyring beside it. */
export async function archiveKeyOf(
  directory: string,
  password: string | undefined,
): Promise<Uint8Array | undefined> {
  return deriveKey((await keysOf(directory, password))?.rootKey, 'archive');
}

function insideCommit(asked: number, end: number): string {
  return `sequence ${String(asked)} lies inside a commit; the last whole one ends at ${String(end)}`;
}

function beyond(target: number, last: number): DomainError {
  return new DomainError(
    'SEQUENCE_IN_FUTURE',
    `sequence ${target.toString()} is beyond the last one there is, ${last.toString()}`,
    { metadata: { sequence: target.toString(), newest: last.toString() } },
  );
}
