import { LRUCache } from 'lru-cache';

import type { RefreshSessionResponse } from '../../../gen/molten/v1/auth_pb.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf } from '../../platform/secrets.ts';
import { after } from '../../platform/timers.ts';
import type { CallOrigin } from '../call.ts';

/** Answers two tabs that refresh at once alike, for they share the cookie and a refresh token is taken once. */
export interface Refreshes {
  /** The answer of `refresh`, or the one that the same browser got for this token a moment ago. */
  share(
    token: string,
    origin: CallOrigin,
    refresh: () => Promise<RefreshSessionResponse>,
  ): Promise<RefreshSessionResponse>;
}

interface Shared {
  readonly answer: Promise<RefreshSessionResponse>;
  readonly startMs: number;
}

const SHARED_MAX = 10_000;
/** Longer than an answer travels. */
const SHARED_MS = 10_000;

/**
 * Creates the memory of refreshes of the last seconds. It is asked by the hash of the token, the address
 * and the name of the browser, so that a token used elsewhere still shows that it was stolen.
 */
export function createRefreshes(clock: Clock): Refreshes {
  const held = new LRUCache<string, Shared>({ max: SHARED_MAX });
  return {
    share(token, origin, refresh) {
      const name = hashOf(
        JSON.stringify([token, origin.address, origin.header('user-agent') ?? '']),
      );
      const known = held.get(name);
      const nowMs = clock.monotonic();
      if (known !== undefined && nowMs - known.startMs < SHARED_MS) return known.answer;
      const answer = refresh();
      held.set(name, { answer, startMs: nowMs });
      const forget = (): void => {
        if (held.peek(name)?.answer === answer) held.delete(name);
      };
      answer.catch(forget);
      // Not left for others to push out: what is held are credentials.
      after(SHARED_MS, forget);
      return answer;
    },
  };
}
