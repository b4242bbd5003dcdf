import { within } from './timers.ts';

/** Closes what was opened, in the opposite order. */
export interface Disposer extends AsyncDisposable {
  /** Adds what is to be closed before everything added so far, and what it is called. */
  defer(name: string, close: () => Promise<void> | void): void;
  /**
   * Closes everything, once; later calls wait for the first. All are closed even when one fails. StillOpen
   * when that takes longer than `msMax`; without it there is no bound.
   */
  dispose(msMax?: number): Promise<void>;
}

/** What had to be closed was not, within its time. */
export class StillOpen extends Error {
  override readonly name = 'StillOpen';
  /** What is not closed: first what hangs, then what waits for it. */
  readonly open: readonly string[];

  constructor(open: readonly string[], ms: number) {
    super(`not closed within ${String(ms)} ms: ${open.join(', ')}`);
    this.open = open;
  }
}

/** Creates an empty disposer. */
export function createDisposer(): Disposer {
  /** The last added comes last. */
  const open: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];
  let disposing: Promise<void> | undefined;

  async function closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
      try {
        await last.close();
      } catch (error) {
        failures.push(error);
      }
      open.splice(open.indexOf(last), 1);
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }

  async function dispose(msMax?: number): Promise<void> {
    disposing ??= closeAll();
    if (msMax === undefined) await disposing;
    else {
      const names = (): readonly string[] => open.map(({ name }) => name).toReversed();
      await within(disposing, msMax, () => new StillOpen(names(), msMax));
    }
  }

  return {
    defer(name, close) {
      open.push({ name, close });
    },
    dispose,
    [Symbol.asyncDispose]: () => dispose(),
  };
}
