import { execFile } from 'node:child_process';

import type { Clock } from '../../platform/clock.ts';
import type { HookOutcome } from './manifest.ts';

/** A command that runs after a snapshot. */
export interface Hook {
  /** A program, not a line for a shell. */
  readonly command: string;
  readonly timeoutMs: number;
}

/** What it prints is thrown away beyond this. */
const OUTPUT_BYTES_MAX = 1024 * 1024;

/**
 * Runs a program with the directory of a snapshot as its only argument, without a shell, and waits for
 * its end, its timeout, or the end of the operation it belongs to. Never rejects: how it ended is what it
 * returns.
 */
export function runHook(
  { command, timeoutMs }: Hook,
  directory: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<HookOutcome> {
  const startMs = clock.monotonic();
  return new Promise((resolve) => {
    const options = {
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...{ maxBuffer: OUTPUT_BYTES_MAX, signal },
    } as const;
    execFile(command, [directory], options, (error) => {
      const durationMs = Math.round(clock.monotonic() - startMs);
      const outcome = { command, durationMs, timedOut: false, problem: '' };
      if (error === null) {
        resolve({ ...outcome, exitCode: 0 });
      } else if (typeof error.code === 'number') {
        resolve({ ...outcome, exitCode: error.code });
      } else {
        const timedOut = error.killed === true;
        const wasEnded = timedOut || typeof error.signal === 'string';
        const problem = wasEnded ? '' : (error.code ?? error.message);
        resolve({ ...outcome, exitCode: undefined, timedOut, problem });
      }
    });
  });
}
