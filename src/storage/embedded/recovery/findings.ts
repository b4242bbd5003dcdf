import { sqliteCode } from '../database.ts';

/** What a check found wrong, in words, and which sequences nobody can read any more. */
export interface Findings {
  readonly problems: readonly string[];
  add(problem: string): void;
  /** Reports that every entry from `first` to `last` is lost. */
  addGap(first: number, last: number): void;
  isLost(sequence: number): boolean;
  /** No further problem is kept. */
  readonly isFull: boolean;
}

/** Problems that are kept. */
export const PROBLEMS_MAX = 100;

/** Starts with nothing found. */
export function createFindings(): Findings {
  const problems: string[] = [];
  const gaps: { readonly first: number; readonly last: number }[] = [];
  const add = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  return {
    problems,
    add,
    addGap(first, last) {
      gaps.push({ first, last });
      const which =
        first === last
          ? `sequence ${String(first)}`
          : `sequences ${String(first)} to ${String(last)}`;
      add(`the log: ${which} cannot be read`);
    },
    isLost: (sequence) => gaps.some(({ first, last }) => sequence >= first && sequence <= last),
    get isFull() {
      return problems.length >= PROBLEMS_MAX;
    },
  };
}

/** What `read` returns; undefined when a page that it needs is damaged. Other errors are thrown. */
export function unlessDamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** A page that cannot be decrypted or read throws wherever it is met. */
function isDamage(error: unknown): boolean {
  return /^SQLITE_(?:CORRUPT|IOERR|NOTADB)/.test(sqliteCode(error) ?? '');
}
