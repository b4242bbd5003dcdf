/**
 * Snapshots: copies of the store at one sequence, each a directory with the files of a store, a manifest
 * with their hashes, and nothing else. One appears under its name only when it is complete and read back.
 */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { syncDirectory } from '../../platform/files.ts';
import type { IdSource } from '../../platform/ids.ts';
import type { StorageEngine, StoreFile } from '../../storage/engine.ts';
import { runHook, type Hook } from './hook.ts';
import { readManifest, verifyFiles, writeManifest, type Manifest } from './manifest.ts';
import type { OperationContext, Operations, StartedOperation } from './operations.ts';
import { createUploads, type SnapshotChunk, type Uploads } from './uploads.ts';

/** All snapshots of a server. */
export interface Snapshots {
  /** Starts one. At most one is taken at a time; a second waits for the first. */
  create(cause: Manifest['cause']): StartedOperation<Manifest>;
  /** Newest first. Damaged ones are listed by `damaged`. */
  list(): Promise<SnapshotList>;
  /** When those that are there were taken, newest first, in Unix milliseconds. Cheap: reads names. */
  times(): Promise<readonly number[]>;
  /**
   * When the newest of the store was taken, by whichever node, in Unix milliseconds; undefined: none was, or none
   * is there. Cheap, and waits for no other node.
   */
  newestMs(): Promise<number | undefined>;
  /** SNAPSHOT_NOT_FOUND, or CORRUPTION_DETECTED for one whose manifest is damaged. */
  get(name: string): Promise<Manifest>;
  delete(name: string): Promise<void>;
  /** Reads all of it and compares hashes; fails with CORRUPTION_DETECTED. */
  verify(name: string): StartedOperation<Manifest>;
  /** The files, the manifest last, in pieces of at most 1 MiB. */
  download(name: string, signal: AbortSignal): AsyncIterable<SnapshotChunk>;
  /**
   * Takes a piece of a snapshot from elsewhere; pieces of a file come in order. QUOTA_EXCEEDED when too many
   * uploads are open, ARGUMENT_INVALID for more files than a snapshot has.
   */
  uploadPart(name: string, chunk: SnapshotChunk): Promise<void>;
  /** Verifies what was uploaded and makes it a snapshot of this server. */
  finishUpload(name: string): Promise<Manifest>;
}

/** What is there. */
export interface SnapshotList {
  readonly snapshots: readonly Manifest[];
  /** Names whose manifest cannot be read. */
  readonly damaged: readonly string[];
}

/** What snapshots are made of. */
export interface SnapshotsParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly operations: Operations;
  readonly directory: string;
  readonly release: string;
  readonly isEncrypted: boolean;
  readonly hook: Hook | undefined;
  /** Scheduled snapshots beyond this many are deleted, the oldest first; 0 keeps all. */
  readonly keep: number;
}

/** What nodes of one store call it to take a snapshot. */
export const SNAPSHOT_JOB = 'snapshotSchedule';

const NAME = /^\d{8}T\d{9}Z-\d{16}$/;
const CHUNK_BYTES = 1024 * 1024;
const SEQUENCE_DIGITS = 16;

/** Opens the snapshots of a server; what an earlier process left unfinished is removed. */
export async function openSnapshots(parts: SnapshotsParts): Promise<Snapshots> {
  await mkdir(parts.directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(parts.directory)) {
    if (name.startsWith('.taking-')) await rm(join(parts.directory, name), { recursive: true });
  }
  const uploads = createUploads(parts.directory, parts.clock);
  await uploads.removeOld();
  return new DirectorySnapshots(parts, uploads);
}

class DirectorySnapshots implements Snapshots {
  readonly #parts: SnapshotsParts;
  readonly #uploads: Uploads;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: SnapshotsParts, uploads: Uploads) {
    this.#parts = parts;
    this.#uploads = uploads;
  }

  create(cause: Manifest['cause']): StartedOperation<Manifest> {
    return this.#parts.operations.start('snapshot', '', (context) => {
      const taking = this.#last.then(() => this.#take(cause, context));
      this.#last = taking.catch(() => undefined);
      return taking;
    });
  }

  async list(): Promise<SnapshotList> {
    const names = await this.#names();
    const snapshots: Manifest[] = [];
    const damaged: string[] = [];
    for (const name of names) {
      try {
        snapshots.push(await readManifest(this.#pathOf(name)));
      } catch {
        damaged.push(name);
      }
    }
    return { snapshots, damaged };
  }

  async times(): Promise<readonly number[]> {
    return (await this.#names()).map(timeOf);
  }

  async newestMs(): Promise<number | undefined> {
    const [own] = await this.times();
    const done = this.#parts.engine.jobs?.doneAtMs(SNAPSHOT_JOB);
    return own === undefined || done === undefined ? (done ?? own) : Math.max(own, done);
  }

  async get(name: string): Promise<Manifest> {
    await this.#demand(name);
    return await readManifest(this.#pathOf(name));
  }

  async delete(name: string): Promise<void> {
    await this.#demand(name);
    // It disappears at once, and its space bit by bit.
    const going = join(this.#parts.directory, `.taking-${this.#parts.ids.uuid()}`);
    await rename(this.#pathOf(name), going).catch(() => {
      // Somebody else was faster.
      throw notFound(name);
    });
    await syncDirectory(this.#parts.directory);
    await rm(going, { recursive: true });
  }

  verify(name: string): StartedOperation<Manifest> {
    checkName(name);
    return this.#parts.operations.start('verify', name, async ({ report, signal }) => {
      const manifest = await this.get(name);
      const total = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0);
      let done = 0;
      report({ phase: 'reading', total });
      const onFile = ({ bytes }: StoreFile): void => {
        done += bytes;
        report({ done });
      };
      await verifyFiles(this.#pathOf(name), manifest, { onFile, signal });
      return manifest;
    });
  }

  async *download(name: string, signal: AbortSignal): AsyncIterable<SnapshotChunk> {
    const { files } = await this.get(name);
    for (const file of [...files.map((one) => one.name), 'manifest.json']) {
      yield* readChunks(join(this.#pathOf(name), file), { file, signal });
    }
  }

  async uploadPart(name: string, chunk: SnapshotChunk): Promise<void> {
    checkName(name);
    await this.#refuseExisting(name);
    await this.#uploads.take(name, chunk);
  }

  async finishUpload(name: string): Promise<Manifest> {
    checkName(name);
    await this.#refuseExisting(name);
    const directory = this.#uploads.directoryOf(name);
    const manifest = await readManifest(directory);
    if (manifest.name !== name)
      throw invalid('snapshot', `is '${name}', and holds '${manifest.name}'`);
    await verifyFiles(directory, manifest);
    const known = new Set([...manifest.files.map((file) => file.name), 'manifest.json']);
    const stranger = (await readdir(directory)).find((file) => !known.has(file));
    if (stranger !== undefined) throw invalid('file', `'${stranger}' is not in the manifest`);
    await this.#publish(directory, name);
    return manifest;
  }

  async #take(cause: Manifest['cause'], context: OperationContext): Promise<Manifest> {
    const { signal, report, setSubject } = context;
    const { engine, clock, directory, release, isEncrypted, hook } = this.#parts;
    const partial = join(directory, `.taking-${this.#parts.ids.uuid()}`);
    try {
      report({ phase: 'copying' });
      const { epoch } = await engine.head();
      const copy = await engine.copy(partial, signal);
      const createdAtMs = clock.now();
      const name = nameOf(createdAtMs, copy.sequence);
      const manifest: Manifest = {
        ...{ format: 1, name, ...copy, createdAtMs, epoch, release, isEncrypted, cause },
        hook: undefined,
      };
      const total = copy.files.reduce((sum, { bytes }) => sum + bytes, 0);
      report({ done: total, total });
      await writeManifest(partial, manifest);
      await this.#publish(partial, name);
      setSubject(name);
      // It is there all the same; others are told of the next one.
      await engine.jobs?.noteDone(SNAPSHOT_JOB).catch(() => undefined);
      if (cause === 'schedule') await this.#prune();
      return hook === undefined ? manifest : await this.#runHook(hook, manifest, context);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
  }

  async #runHook(
    hook: Hook,
    manifest: Manifest,
    { signal, report }: OperationContext,
  ): Promise<Manifest> {
    report({ phase: 'running the command after it' });
    const path = this.#pathOf(manifest.name);
    const outcome = await runHook(hook, path, { clock: this.#parts.clock, signal });
    const told = { ...manifest, hook: outcome };
    await writeManifest(path, told);
    return told;
  }

  async #prune(): Promise<void> {
    const { keep } = this.#parts;
    if (keep === 0) return;
    const { snapshots } = await this.list();
    const scheduled = snapshots.filter(({ cause }) => cause === 'schedule');
    for (const { name } of scheduled.slice(keep)) await this.delete(name);
  }

  async #publish(directory: string, name: string): Promise<void> {
    await syncDirectory(directory);
    await rename(directory, this.#pathOf(name));
    await syncDirectory(this.#parts.directory);
  }

  /** Newest first. */
  async #names(): Promise<readonly string[]> {
    const names = await readdir(this.#parts.directory);
    return names
      .filter((name) => NAME.test(name))
      .sort()
      .reverse();
  }

  async #demand(name: string): Promise<void> {
    checkName(name);
    const names = await readdir(this.#parts.directory);
    if (!names.includes(name)) throw notFound(name);
  }

  async #refuseExisting(name: string): Promise<void> {
    const names = await readdir(this.#parts.directory);
    if (names.includes(name)) throw invalid('snapshot', `'${name}' is there already`);
  }

  #pathOf(name: string): string {
    return join(this.#parts.directory, name);
  }
}

async function* readChunks(
  path: string,
  { file, signal }: { readonly file: string; readonly signal: AbortSignal },
): AsyncIterable<SnapshotChunk> {
  const handle = await open(path);
  try {
    for (let offset = 0; !signal.aborted;) {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield { file, offset, data: buffer.subarray(0, bytesRead) };
      offset += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** The time that a name starts with. */
function timeOf(name: string): number {
  const [, day = '', time = '', ms = ''] = /^(\d{8})T(\d{6})(\d{3})Z/.exec(name) ?? [];
  const date = day.replace(/(\d{4})(\d{2})(\d{2})/, '$1-$2-$3');
  return Date.parse(`${date}T${time.replace(/(\d{2})(\d{2})(\d{2})/, '$1:$2:$3')}.${ms}Z`);
}

/** Sorts by time; tells the sequence to who reads it. */
function nameOf(createdAtMs: number, sequence: bigint): string {
  const time = new Date(createdAtMs).toISOString().replaceAll(/[-:.]/g, '');
  return `${time}-${sequence.toString().padStart(SEQUENCE_DIGITS, '0')}`;
}

function checkName(name: string): void {
  if (!NAME.test(name)) {
    throw invalid(
      'snapshot',
      `is '${name}'; wants a name such as 20260131T235959000Z-0000000000000042`,
    );
  }
}

function notFound(name: string): DomainError {
  return new DomainError('SNAPSHOT_NOT_FOUND', `there is no snapshot '${name}'`, {
    metadata: { snapshot: name },
  });
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
