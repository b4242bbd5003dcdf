/**
 * The archive: every entry of the log, copied into sealed segments in a directory of its own while the
 * server runs, so that recovery reaches further back than the store keeps its history. The log is not
 * shortened before it is archived.
 */
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { syncDirectory, writeFileDurably } from '../../platform/files.ts';
import { every } from '../../platform/timers.ts';
import {
  hashOf,
  openSegment,
  readSegmentHeader,
  sealSegment,
  type Segment,
} from '../../storage/codec.ts';
import type { Lease, StorageEngine } from '../../storage/engine.ts';
import { toSequence, type LogEntry, type Sequence } from '../../storage/types.ts';

/** Copies the log into segments. */
export interface Archive extends AsyncDisposable {
  /** Everything up to here is archived. */
  readonly archivedTo: Sequence;
  /** Archives what is durable now. */
  run(): Promise<void>;
}

/** What an archive is made of. */
export interface ArchiveParts {
  readonly engine: StorageEngine;
  readonly directory: string;
  /** Milliseconds between two looks at the log. */
  readonly intervalMs: number;
  /** Told of what failed; the next look tries again. */
  readonly onFailure: (error: unknown) => void;
}

const ENTRIES_PER_SEGMENT = 10_000;
const SEQUENCE_DIGITS = 16;
const PARTIAL = '.partial';
const SEGMENT = /^(\d{16})-(\d{16})\.seg$/;

/**
 * Opens an archive and goes on where its last segment ends. CORRUPTION_DETECTED when that one is damaged,
 * or knows more than the store does; nothing is written behind it then.
 */
export async function openArchive(parts: ArchiveParts): Promise<Archive> {
  const { engine } = parts;
  const { epoch } = await engine.head();
  const directory = join(parts.directory, epoch);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const key = engine.derivedKey('archive');
  const job = engine.capabilities.shared ? `archive ${identityOf(directory)}` : 'archive';
  const chain = { directory, epoch, key, job };
  return new DirectoryArchive(parts, chain, await tailOf(engine, chain));
}

/**
 * Names a directory to all nodes that see it, wherever they have it mounted. The name is a file in a
 * directory, for no directory is ever put in the place of one that is not empty.
 */
function identityOf(directory: string): string {
  const place = join(directory, '.identity');
  if (!existsSync(place)) {
    const made = mkdtempSync(join(directory, '.making-'));
    writeFileSync(join(made, randomUUID()), '');
    try {
      renameSync(made, place);
    } catch (error) {
      rmSync(made, { recursive: true, force: true });
      if (!existsSync(place)) throw error;
    }
  }
  const [name] = readdirSync(place);
  if (name !== undefined) return name;
  throw new DomainError('CORRUPTION_DETECTED', `'${place}' is empty; remove it, and start again`);
}

/** Where the archive ends, and so the next segment begins. */
async function tailOf(engine: StorageEngine, { directory, key }: Chain): Promise<Tail> {
  const { oldest, sequence } = await engine.head();
  const last = segmentsOf(directory).at(-1);
  const end = last === undefined ? undefined : readSegment(directory, last, key);
  const start = end === undefined ? oldest : end.header.last;
  if (start > sequence) throw rolledBack(directory, start, sequence);
  // Without an archive for a while, the log was shortened: another chain begins, and says so.
  if (start < oldest) return { archivedTo: oldest, previous: '' };
  return { archivedTo: start, previous: end?.sha256 ?? '' };
}

/** Of one timeline the archive is never ahead of the store: somebody put an older file in its place. */
function rolledBack(directory: string, archived: Sequence, newest: Sequence): DomainError {
  return new DomainError(
    'CORRUPTION_DETECTED',
    `the archive in '${directory}' reaches sequence ${String(archived)}, the store only ${String(newest)}: the store is an older copy; recover it with the archive, or archive elsewhere`,
    { metadata: { directory, archived: String(archived), newest: String(newest) } },
  );
}

interface Chain {
  readonly directory: string;
  readonly epoch: string;
  readonly key: Uint8Array | undefined;
  /** What one node of the store does at a time. */
  readonly job: string;
}

interface Tail {
  readonly archivedTo: Sequence;
  /** The hash of the last segment; empty: a chain begins. */
  readonly previous: string;
}

class DirectoryArchive implements Archive {
  readonly #parts: ArchiveParts;
  readonly #chain: Chain;
  readonly #stopTimer: () => void;
  readonly #unpin: () => void;
  #tail: Tail;
  #lease: Lease | undefined;
  #running: Promise<void> | undefined;

  constructor(parts: ArchiveParts, chain: Chain, tail: Tail) {
    this.#parts = parts;
    this.#chain = chain;
    this.#tail = tail;
    this.#unpin = parts.engine.pin(() => this.archivedTo);
    this.#stopTimer = every(parts.intervalMs, () => {
      this.run().catch((error: unknown) => {
        parts.onFailure(error);
      });
    });
  }

  get archivedTo(): Sequence {
    return this.#tail.archivedTo;
  }

  run(): Promise<void> {
    this.#running ??= this.#runAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopTimer();
    await this.run();
    this.#unpin();
  }

  async #runAll(): Promise<void> {
    const { engine } = this.#parts;
    const upTo = engine.health().durableSequence;
    while (await this.#isOurs()) {
      if (this.archivedTo >= upTo) return;
      const position = { epoch: this.#chain.epoch, sequence: this.archivedTo };
      const entries = await engine.readLog(position, { limit: ENTRIES_PER_SEGMENT, upTo });
      if (entries.length === 0) return;
      await this.#write(entries);
    }
  }

  /** Takes or renews the job; while another node has it, looks how far that one is. */
  async #isOurs(): Promise<boolean> {
    const lease = await this.#parts.engine.lease(this.#chain.job);
    const isNew = lease?.fence !== this.#lease?.fence;
    this.#lease = undefined;
    if (lease === undefined) {
      const sequence = lastOf(segmentsOf(this.#chain.directory));
      if (sequence > this.archivedTo) this.#tail = { archivedTo: sequence, previous: '' };
      return false;
    }
    if (isNew) await this.#takeOver();
    this.#lease = lease;
    return true;
  }

  /** What a node that had the job has not finished it cannot finish any more; what it has counts. */
  async #takeOver(): Promise<void> {
    const { directory } = this.#chain;
    for (const name of readdirSync(directory)) {
      if (name.endsWith(PARTIAL)) await rm(join(directory, name), { force: true });
    }
    await syncDirectory(directory);
    this.#tail = await tailOf(this.#parts.engine, this.#chain);
  }

  /** Asks for the job between writing and naming: whoever takes it after that removes what has no name yet. */
  async #write(entries: readonly LogEntry[]): Promise<void> {
    const { directory, epoch, key } = this.#chain;
    const bytes = sealSegment(entries, { epoch, key, previous: this.#tail.previous });
    const name = nameOf(entries);
    const partial = join(directory, `.${name}.${randomUUID()}${PARTIAL}`);
    await writeFileDurably(partial, bytes);
    const fence = this.#lease?.fence;
    const lease = await this.#parts.engine.lease(this.#chain.job);
    if (lease?.fence !== fence) {
      await rm(partial, { force: true });
      return;
    }
    await rename(partial, join(directory, name));
    await syncDirectory(directory);
    this.#tail = {
      archivedTo: entries.at(-1)?.sequence ?? this.archivedTo,
      previous: hashOf(bytes),
    };
  }
}

function nameOf(entries: readonly LogEntry[]): string {
  const [first, last] = [entries[0], entries.at(-1)].map((entry) =>
    String(entry?.sequence ?? 0n).padStart(SEQUENCE_DIGITS, '0'),
  );
  return `${first ?? ''}-${last ?? ''}.seg`;
}

/** Where the last of these segments ends; 0 when there is none. */
function lastOf(names: readonly string[]): Sequence {
  return toSequence(BigInt(SEGMENT.exec(names.at(-1) ?? '')?.[2] ?? 0));
}

/** The names of the segments of one timeline, ascending. */
function segmentsOf(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => SEGMENT.test(name))
    .sort();
}

function readSegment(directory: string, name: string, key: Uint8Array | undefined): Segment {
  return openSegment(readFileSync(join(directory, name)), name, key);
}

/**
 * The entries of an archive of one timeline, ascending. CORRUPTION_DETECTED for a damaged segment, a
 * missing one, or one that does not belong behind the one before it. Where archiving was off for longer
 * than the log reached back, a new chain begins, and sequences are missing in between.
 */
export function* readArchive(
  archive: string,
  epoch: string,
  key: Uint8Array | undefined,
): Iterable<LogEntry> {
  const directory = join(archive, epoch);
  let before: Segment | undefined;
  for (const name of segmentsOf(directory)) {
    const segment = readSegment(directory, name, key);
    if (before !== undefined) checkChain(name, before, segment);
    before = segment;
    yield* segment.entries;
  }
}

function checkChain(name: string, before: Segment, { header }: Segment): void {
  const isNext = header.previous === before.sha256 && header.first === before.header.last + 1n;
  const isNewChain = header.previous === '' && header.first > before.header.last + 1n;
  if (isNext || isNewChain) return;
  throw new DomainError(
    'CORRUPTION_DETECTED',
    `segment '${name}' does not follow the one that ends at ${String(before.header.last)}; one is missing or was replaced`,
    { metadata: { file: name } },
  );
}

/** What one timeline of an archive holds. */
export interface ArchivedTimeline {
  readonly epoch: string;
  readonly segments: number;
  /** Sequences that are missing between chains. */
  readonly missing: bigint;
  readonly first: Sequence;
  readonly last: Sequence;
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
}

/** Reads all of an archive; fails like `readArchive` for the first damage. */
export function checkArchive(
  archive: string,
  key: Uint8Array | undefined,
): readonly ArchivedTimeline[] {
  return readdirSync(archive, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: epoch }) => {
      const names = segmentsOf(join(archive, epoch));
      if (names.length === 0) return [];
      const missing = missingIn(readArchive(archive, epoch, key));
      const [first, last] = [names[0], names.at(-1)].map((name = '') =>
        readSegmentHeader(readFileSync(join(archive, epoch, name)), name),
      );
      return [
        {
          ...{ epoch, segments: names.length, missing },
          first: first?.first ?? toSequence(0),
          last: last?.last ?? toSequence(0),
          firstTimeMs: first?.firstTimeMs ?? 0,
          lastTimeMs: last?.lastTimeMs ?? 0,
        },
      ];
    });
}

function missingIn(entries: Iterable<LogEntry>): bigint {
  let missing = 0n;
  let last: bigint | undefined;
  for (const { sequence } of entries) {
    if (last !== undefined) missing += sequence - last - 1n;
    last = sequence;
  }
  return missing;
}
