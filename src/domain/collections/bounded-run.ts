import { createContext, Script } from 'node:vm';

/** What became of a task with a time limit. */
export type BoundedOutcome<T> =
  { readonly isDone: true; readonly value: T } | { readonly isDone: false };

interface Sandbox {
  task: (() => void) | undefined;
}

const script = new Script('task()');
let sandbox: Sandbox | undefined;

/**
 * Runs a synchronous task and stops it after `timeMs` milliseconds, wherever it is. Only for tasks that
 * leave nothing half done behind. Costs a fraction of a millisecond; errors of the task pass through.
 */
export function runWithin<T>(timeMs: number, task: () => T): BoundedOutcome<T> {
  let outcome: BoundedOutcome<T> = { isDone: false };
  // The context grants the script nothing but the task; it is there for its time limit.
  sandbox ??= createContext({ task: undefined }) as Sandbox;
  sandbox.task = () => {
    outcome = { isDone: true, value: task() };
  };
  try {
    script.runInContext(sandbox, { timeout: timeMs });
  } catch (error) {
    if (!isTimeout(error)) throw error;
  } finally {
    sandbox.task = undefined;
  }
  return outcome;
}

function isTimeout(error: unknown): boolean {
  // Made in the other context, so no instance of this one's Error.
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
