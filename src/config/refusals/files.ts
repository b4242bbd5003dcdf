import { accessSync, constants } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

import { CronPattern } from 'croner';

import { findFile, findIf, type Refusal } from '../refusal.ts';

/** What file systems take. */
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4095;

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
        fix: `chmod +x ${path ?? ''}, or give another`,
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

/** What keeps a directory from being made or written; undefined when nothing does. */
function directoryProblem(path: string): string | undefined {
  if (!isPath(path)) return 'is no path: too long, or with a null byte';
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
