import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { FILES_MAX, isFileName } from './manifest.ts';

/** A piece of one file of a snapshot. */
export interface SnapshotChunk {
  readonly file: string;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Snapshots that come from elsewhere in pieces, each in a directory of its own until it is whole. */
export interface Uploads {
  /** Takes a piece; those of a file come in order, and one that came already may come again. */
  take(name: string, chunk: SnapshotChunk): Promise<void>;
  directoryOf(name: string): string;
  /** Removes those that nothing was added to for a day. */
  removeOld(): Promise<void>;
}

const PREFIX = '.upload-';
const OPEN_MAX = 8;
const IDLE_MS = 24 * 60 * 60 * 1000;
const PRIVATE_MODE = 0o600;

/** Uploads into a directory of snapshots. */
export function createUploads(snapshots: string, clock: Clock): Uploads {
  const directoryOf = (name: string): string => join(snapshots, `${PREFIX}${name}`);

  /** At once, so that no two begin in the last place. */
  function begin(directory: string): void {
    if (existsSync(directory)) return;
    const count = readdirSync(snapshots).filter((name) => name.startsWith(PREFIX)).length;
    if (count >= OPEN_MAX) throw tooMany();
    mkdirSync(directory, { mode: 0o700 });
  }

  async function removeOld(): Promise<void> {
    const names = (await readdir(snapshots)).filter((name) => name.startsWith(PREFIX));
    for (const path of names.map((name) => join(snapshots, name))) {
      if (clock.now() - (await lastChangeMs(path)) > IDLE_MS) {
        await rm(path, { recursive: true, force: true });
      }
    }
  }

  return {
    directoryOf,
    removeOld,
    async take(name, { file, offset, data }) {
      if (!isFileName(file)) throw invalid('file', `is '${file}', which is no file of a snapshot`);
      const directory = directoryOf(name);
      if (!existsSync(directory)) await removeOld();
      begin(directory);
      const path = join(directory, file);
      makeFile(directory, path);
      await write(path, { file, offset, data });
    },
  };
}

/** The manifest is one file more. */
function makeFile(directory: string, path: string): void {
  if (existsSync(path)) return;
  const limit = FILES_MAX + 1;
  if (readdirSync(directory).length >= limit) {
    throw invalid('file', `is one too many; a snapshot has at most ${String(limit)} files`);
  }
  closeSync(openSync(path, 'wx', PRIVATE_MODE));
}

async function write(path: string, { file, offset, data }: SnapshotChunk): Promise<void> {
  const handle = await open(path, offset === 0 ? 'w' : 'r+', PRIVATE_MODE);
  try {
    const { size } = await handle.stat();
    if (offset > size) {
      throw invalid('offset', `is ${String(offset)}; ${String(size)} bytes of '${file}' are there`);
    }
    await handle.write(data, 0, data.length, offset);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Of the directory and of everything in it; in Unix milliseconds. */
async function lastChangeMs(directory: string): Promise<number> {
  const paths = [directory, ...(await readdir(directory)).map((name) => join(directory, name))];
  const stats = await Promise.all(paths.map((path) => stat(path)));
  return Math.max(...stats.map(({ mtimeMs }) => mtimeMs));
}

function tooMany(): DomainError {
  const limit = OPEN_MAX.toString();
  return new DomainError(
    'QUOTA_EXCEEDED',
    `${limit} uploads of snapshots are open already; finish one, or wait: one that nothing is added to for a day is removed`,
    { metadata: { limit } },
  );
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
