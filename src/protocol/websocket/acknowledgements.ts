/** Lets at most so many messages go that were not acknowledged. */
export interface Window {
  /** Waits until another message may go, or the signal aborts. */
  passed(resumeToken: string, signal: AbortSignal): Promise<void>;
  /** Everything up to the message with this token has arrived. */
  readonly acknowledged: (resumeToken: string) => void;
}

/** A window of so many messages; undefined: without a bound. */
export function createWindow(max: number | undefined): Window {
  const open: string[] = [];
  let proceed: (() => void) | undefined;
  return {
    passed(resumeToken, signal) {
      if (max === undefined || resumeToken === '' || signal.aborted) return Promise.resolve();
      open.push(resumeToken);
      if (open.length < max) return Promise.resolve();
      return new Promise((resolve) => {
        proceed = () => {
          proceed = undefined;
          signal.removeEventListener('abort', stop);
          resolve();
        };
        const stop = (): void => proceed?.();
        signal.addEventListener('abort', stop, { once: true });
      });
    },
    acknowledged(resumeToken) {
      const at = open.indexOf(resumeToken);
      if (at === -1) return;
      open.splice(0, at + 1);
      if (max !== undefined && open.length < max) proceed?.();
    },
  };
}
