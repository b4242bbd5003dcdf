/** Ends a timer; calling it twice is harmless. */
export type StopTimer = () => void;

/**
 * Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects: whoever waits looks
 * at the signal. The timer does not keep the process alive.
 */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    timer.unref();
    signal?.addEventListener('abort', finish);
  });
}

/** Calls `action` once after `ms` milliseconds. The timer does not keep the process alive. */
export function after(ms: number, action: () => void): StopTimer {
  const timer = setTimeout(action, ms);
  timer.unref();
  return () => {
    clearTimeout(timer);
  };
}

/**
 * What a promise comes to; rejects with what `late` makes when that takes longer than `ms` milliseconds. What
 * was begun goes on then, and nobody hears of it. The timer does not keep the process alive.
 */
export async function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  const { promise: isLate, reject } = Promise.withResolvers<never>();
  const stop = after(ms, () => {
    reject(late());
  });
  try {
    return await Promise.race([promise, isLate]);
  } finally {
    stop();
  }
}

/** Calls `action` every `ms` milliseconds. The timer does not keep the process alive. */
export function every(ms: number, action: () => void): StopTimer {
  const timer = setInterval(action, ms);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

/** Calls `action` after the events that are already waiting. */
export function soon(action: () => void): StopTimer {
  const handle = setImmediate(action);
  return () => {
    clearImmediate(handle);
  };
}

/** Lets the events that are already waiting go first. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
