import { statSync, type Stats } from 'node:fs';

import type { OptionReader } from './reader.ts';

/** What is known when a server is asked to start. */
export interface StartRequest {
  readonly read: OptionReader;
  /** The time, for what expires. */
  readonly nowMs: number;
}

/** One reason not to start. */
export interface Finding {
  /** The option that is to blame. */
  readonly option: string;
  readonly why: string;
  readonly fix: string;
}

/** One row of the table of refusals. */
export interface Refusal {
  /** A short name, as `molten doctor` shows it. */
  readonly name: string;
  /** When a start is refused, for the reference. */
  readonly when: string;
  judge(request: StartRequest): readonly Finding[];
}

/** The finding, when there is a reason for it. */
export function findIf(isWrong: boolean, finding: Finding): readonly Finding[] {
  return isWrong ? [finding] : [];
}

/** Whether a URL holds a user name or a password, which would show wherever the URL does. */
export function hasUser({ username, password }: URL): boolean {
  return username !== '' || password !== '';
}

/** What is at a path; undefined for nothing, and for what is no path: too long, or with a null byte. */
export function findFile(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
