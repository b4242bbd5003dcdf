import { DomainError } from '../../errors/domain-error.ts';
import { after } from '../../platform/timers.ts';

/**
 * Those who wait for a look at the log. All who ask before one begins wait for that one, so that one is under way
 * and one is to come, however many ask.
 */
export interface Looks {
  /** Resolves after a look that begins from now on. ENGINE_UNAVAILABLE when none is over in time. */
  next(): Promise<void>;
  /** A look begins. */
  begin(): void;
  /** It is over. One that fails is not: then whoever waits for it waits for the one after it. */
  end(): void;
}

interface Asked {
  readonly seen: Promise<undefined>;
  readonly end: () => void;
}

/** Creates looks, each waited for up to `waitMs`. */
export function createLooks(waitMs: number): Looks {
  const underWay = new Set<Asked>();
  let asked: Asked | undefined;

  function ask(): Asked {
    const { promise: seen, resolve, reject } = Promise.withResolvers<undefined>();
    const stop = after(waitMs, () => {
      if (asked === mine) asked = undefined;
      underWay.delete(mine);
      reject(notSeen());
    });
    const end = (): void => {
      stop();
      resolve(undefined);
    };
    const mine = { seen, end };
    return mine;
  }

  return {
    async next() {
      asked ??= ask();
      await asked.seen;
    },
    begin() {
      if (asked !== undefined) underWay.add(asked);
      asked = undefined;
    },
    end() {
      for (const one of underWay) one.end();
      underWay.clear();
    },
  };
}

function notSeen(): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    'this node could not look at the log in time; try again, or another node',
  );
}
