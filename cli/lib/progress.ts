/** Shows how far long work has come, on a terminal only. */
export interface Progress {
  show(count: number): void;
  finish(count: number): void;
}

const SHOW_EVERY = 1000;

/** Creates a counter that rewrites one line of standard error. */
export function createProgress(verb: string, write: (line: string) => void): Progress {
  if (!process.stderr.isTTY) return { show: () => undefined, finish: () => undefined };
  let shown = 0;
  return {
    show(count) {
      if (count - shown < SHOW_EVERY) return;
      shown = count;
      write(`\r${String(count)} ${verb}`);
    },
    finish(count) {
      write(`\r${String(count)} ${verb}\n`);
    },
  };
}
