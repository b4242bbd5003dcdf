import { accessSync, constants } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

import { CronPattern } from 'croner';

import { findFile, findIf, type Refusal } from '../refusal.ts';

/** What file systems take. */
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4095;
const NO_PATH = 'is no path: too long, or with a null byte';

/** Refusals about what the server keeps on disk, and what it runs. */
export const FILE_REFUSALS: readonly Refusal[] = [
  {
    name: 'directories writable',
    when: '`--db-path` or `--archive-dir` that cannot be written.',
    judge: ({ read }) =>
      ['db-path', 'archive-dir'].flatMap((option) => {
        const path = read.text(option);
        const problem = path === undefined ? undefined : directoryProblem(resolve(path));
        const why = `names '${path ?? ''}', which ${problem ?? ''}`;
        const fix = 'give a directory that this user can write';
        return findIf(problem !== undefined, { option, why, fix });
      }),
  },
  {
    name: 'audit file writable',
    when: '`--audit-file` that is a directory, cannot be written, or lies in a directory that is not there: only `--db-path` and `--archive-dir` are made.',
    judge({ read }) {
      const path = read.text('audit-file');
      const made = ['db-path', 'archive-dir'].map((name) => resolve(read.text(name) ?? ''));
      const problem = path === undefined ? undefined : fileProblem(resolve(path), made);
      const why = `names '${path ?? ''}', which ${problem ?? ''}`;
      const fix = 'give a file in a directory that is there and that this user can write';
      return findIf(problem !== undefined, { option: 'audit-file', why, fix });
    },
  },
  {
    name: 'archive apart from the store',
    when: '`--archive-dir` inside `--db-path`: one loss would take both.',
    judge({ read }) {
      const archive = read.text('archive-dir');
      const isInside = archive !== undefined && contains(read.text('db-path') ?? '', archive);
      return findIf(isInside, {
        option: 'archive-dir',
        why: 'is inside --db-path, so that one loss would take both',
        fix: 'give a directory elsewhere, best on another disk',
      });
    },
  },
  {
    name: 'script executable',
    when: '`--post-backup-script` that is not there or not executable.',
    judge({ read }) {
      const path = read.text('post-backup-script');
      return findIf(path !== undefined && !isExecutable(path), {
        option: 'post-backup-script',
        why: `names '${path ?? ''}', which is no file that this user can run`,
        fix: 'chmod +x it, or give another',
      });
    },
  },
  {
    name: 'schedule well-formed',
    when: '`--snapshot-schedule` that is no cron expression.',
    judge({ read }) {
      const schedule = read.text('snapshot-schedule');
      const problem = schedule === undefined ? undefined : cronProblem(schedule);
      return findIf(problem !== undefined, {
        option: 'snapshot-schedule',
        why: `is '${schedule ?? ''}', which is no cron expression: ${problem ?? ''}`,
        fix: 'write one such as "0 3 * * *"',
      });
    },
  },
];

/** What keeps a file from being made or written, where some directories are made before; undefined when nothing does. */
function fileProblem(path: string, made: readonly string[]): string | undefined {
  if (!isPath(path)) return NO_PATH;
  const parent = dirname(path);
  const [found, directory] = [findFile(path), findFile(parent)];
  if (found?.isDirectory() === true) return 'is a directory';
  if (found !== undefined) {
    return isAllowed(path, constants.R_OK | constants.W_OK) ? undefined : 'cannot be written';
  }
  if (directory === undefined && !made.includes(parent)) {
    return 'is in a directory that is not there';
  }
  return directoryProblem(parent);
}

/** What keeps a directory from being made or written; undefined when nothing does. */
function directoryProblem(path: string): string | undefined {
  if (!isPath(path)) return NO_PATH;
  const found = findFile(path);
  if (found === undefined) {
    const parent = dirname(path);
    return parent === path ? 'cannot be made' : directoryProblem(parent);
  }
  if (!found.isDirectory()) return 'is or leads through a file';
  return isAllowed(path, constants.W_OK | constants.X_OK) ? undefined : 'cannot be written';
}

function isPath(path: string): boolean {
  const isShort = path.split(sep).every((part) => Buffer.byteLength(part) <= NAME_BYTES_MAX);
  return isShort && Buffer.byteLength(path) <= PATH_BYTES_MAX && !path.includes('\0');
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  const isFile = findFile(path)?.isFile() === true;
  return isFile && isAllowed(path, constants.X_OK);
}

function contains(outer: string, inner: string): boolean {
  const path = relative(resolve(outer), resolve(inner));
  return path === '' || (path !== '..' && !path.startsWith(`..${sep}`) && path !== resolve(inner));
}

function cronProblem(schedule: string): string | undefined {
  try {
    new CronPattern(schedule, 'UTC');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
