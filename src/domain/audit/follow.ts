import type { Chain } from './chain.ts';
import type { AuditRecord } from './record.ts';

/** Hands new records to those who follow; nothing is kept for any of them. */
export interface Followers {
  /** Pages of records after a number as they come. Ends when the signal aborts or all are ended. */
  pages(afterNumber: number, signal: AbortSignal): AsyncGenerator<readonly AuditRecord[], void>;
  /** Tells that there are more. */
  wake(): void;
  /** Ends all, for good. */
  end(): void;
}

/** Records read at once. */
const PAGE = 256;

/** Creates the followers of a chain. */
export function createFollowers(chain: Chain): Followers {
  const waiting = new Set<() => void>();
  const ending = new AbortController();

  function wake(): void {
    for (const resolve of [...waiting]) resolve();
  }

  /** Waits for records after `number`; at once when there are some, or when it is over. */
  function more(number: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        waiting.delete(finish);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      waiting.add(finish);
      signal.addEventListener('abort', finish);
      if (signal.aborted || chain.ends().end.number > number) finish();
    });
  }

  return {
    wake,
    end() {
      ending.abort();
      wake();
    },
    async *pages(afterNumber, signal) {
      const isOver = (): boolean => signal.aborted || ending.signal.aborted;
      for (let number = afterNumber; !isOver();) {
        const { anchor, end } = chain.ends();
        const first = Math.max(number, anchor.number) + 1;
        const last = Math.min(end.number, first + PAGE - 1);
        if (last < first) {
          await more(number, signal);
          continue;
        }
        const stored = await chain.read(first, last);
        number = last;
        // What is broken is left out here; verification names it.
        const records = stored.flatMap((one) => (one.kind === 'record' ? [one.record] : []));
        if (records.length > 0) yield records;
      }
    },
  };
}
