import { DomainError } from '../errors/domain-error.ts';

/** How a task waits. */
export interface GateTicket {
  /** Whoever aborts gives its place up: CANCELED. */
  readonly signal?: AbortSignal | undefined;
  /** Where it queues; absent: with all the others that name none. */
  readonly lane?: string;
}

/** Runs tasks, a few at a time: in the order they came within a lane, and of the lanes one after the other. */
export interface Gate {
  run<T>(task: () => Promise<T>, ticket?: GateTicket): Promise<T>;
  load(): { readonly running: number; readonly waiting: number };
}

/** What a gate lets through. */
export interface GateOptions {
  readonly runningMax: number;
  /** Of one lane; more are refused at once, so that they cannot fill the memory. */
  readonly waitingMax: number;
  /** The refusal. */
  readonly tooMany: () => DomainError;
}

type Admit = () => void;

/** Creates a gate. The lanes are the caller's few: an empty one is forgotten. */
export function createGate({ runningMax, waitingMax, tooMany }: GateOptions): Gate {
  const lanes = new Map<string, Set<Admit>>();
  let running = 0;

  /** Hands the place on, so that nobody who has just come slips in between; the lane is the last again. */
  function leave(): void {
    const [first] = lanes;
    if (first === undefined) {
      running -= 1;
      return;
    }
    const [name, lane] = first;
    const [next] = lane;
    lanes.delete(name);
    if (next !== undefined) lane.delete(next);
    if (lane.size > 0) lanes.set(name, lane);
    next?.();
  }

  function forget(name: string, admit: Admit): void {
    const lane = lanes.get(name);
    lane?.delete(admit);
    if (lane?.size === 0) lanes.delete(name);
  }

  async function enter({ signal, lane: name = '' }: GateTicket): Promise<void> {
    if (signal?.aborted === true) throw canceled();
    if (running < runningMax) {
      running += 1;
      return;
    }
    const lane = lanes.get(name) ?? new Set();
    if (lane.size >= waitingMax) throw tooMany();
    lanes.set(name, lane);
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => {
        forget(name, admit);
        reject(canceled());
      };
      const admit = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      lane.add(admit);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  return {
    load: () => ({
      running,
      waiting: [...lanes.values()].reduce((sum, { size }) => sum + size, 0),
    }),
    async run(task, ticket = {}) {
      await enter(ticket);
      try {
        return await task();
      } finally {
        leave();
      }
    },
  };
}

function canceled(): DomainError {
  return new DomainError('CANCELED', 'the call was canceled while it waited for its turn');
}
