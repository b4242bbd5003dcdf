/** Streams that tell how a state changes: how many there may be, and one timer that wakes all of them. */
import { DomainError } from '../../errors/domain-error.ts';
import { subnetOf } from '../../platform/subnet.ts';
import { every, type StopTimer } from '../../platform/timers.ts';

/** Streams at once, in all and of one address; nobody shows a credential for one. Each keeps some 60 kB. */
const WATCHERS_MAX = 1000;
const WATCHERS_PER_ADDRESS_MAX = 256;
/** How often a watched state is looked at, in milliseconds. */
const LOOK_MS = 1000;

/** Those who watch. */
export interface Watchers {
  /**
   * Takes a place for a stream of this address until `signal` aborts. FEATURE_DISABLED when there is none: a
   * client that is told so by the health checking protocol asks no more, and takes the server for one that serves.
   */
  enter(address: string, signal: AbortSignal): void;
  /** Resolves soon after `isDue` has become true, or at once when `signal` aborts. Never rejects. */
  until(isDue: () => boolean, signal: AbortSignal): Promise<void>;
}

/** Creates them; nobody watches yet. Only the bound of all holds for the addresses of proxies, who are many. */
export function createWatchers(isProxy: (address: string) => boolean): Watchers {
  const places = new Map<string, number>();
  const looks = new Set<() => void>();
  let taken = 0;
  let stop: StopTimer | undefined;

  function leave(key: string): void {
    taken -= 1;
    const left = (places.get(key) ?? 0) - 1;
    if (left > 0) places.set(key, left);
    else places.delete(key);
  }

  return {
    enter(address, signal) {
      const key = subnetOf(address);
      const own = places.get(key) ?? 0;
      const isFull = own >= WATCHERS_PER_ADDRESS_MAX && !isProxy(address);
      if (isFull) throw tooMany('address', WATCHERS_PER_ADDRESS_MAX);
      if (taken >= WATCHERS_MAX) throw tooMany('server', WATCHERS_MAX);
      taken += 1;
      places.set(key, own + 1);
      const end = (): void => {
        leave(key);
      };
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    },
    until(isDue, signal) {
      return new Promise((resolve) => {
        const finish = (): void => {
          looks.delete(look);
          signal.removeEventListener('abort', finish);
          if (looks.size === 0) {
            stop?.();
            stop = undefined;
          }
          resolve();
        };
        const look = (): void => {
          if (isDue()) finish();
        };
        if (signal.aborted || isDue()) {
          resolve();
          return;
        }
        looks.add(look);
        signal.addEventListener('abort', finish);
        stop ??= every(LOOK_MS, () => {
          for (const one of looks) one();
        });
      });
    },
  };
}

function tooMany(holder: 'address' | 'server', max: number): DomainError {
  const limit = max.toString();
  return new DomainError(
    'FEATURE_DISABLED',
    `this ${holder} has ${limit} watches of health already, and no more are taken; ask Check from time to time`,
    { metadata: { limit } },
  );
}
