/** Closes what was opened, in the opposite order. */
export interface Disposer extends AsyncDisposable {
  /** Adds what is to be closed before everything added so far. */
  defer(close: () => Promise<void> | void): void;
  /** Closes everything, once; later calls wait for the first. All are closed even when one fails. */
  dispose(): Promise<void>;
}

/** Creates an empty disposer. */
export function createDisposer(): Disposer {
  const closers: (() => Promise<void> | void)[] = [];
  let disposing: Promise<void> | undefined;

  async function closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of closers.toReversed()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }

  const dispose = (): Promise<void> => (disposing ??= closeAll());
  return {
    defer(close) {
      closers.push(close);
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
