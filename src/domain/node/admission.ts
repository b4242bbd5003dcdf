/**
 * Turns calls away before they would wait too long, so that those let in are answered soon and the server
 * does as much as it does without overload.
 *
 * What is looked at is how long a turn of the event loop takes: whatever arrives meanwhile waits for its
 * end, and makes the next turn longer. Overload is several turns in a row that are too long, with a loop
 * that never waited: a single long piece of work is none, nor is a process that gets no core but is done
 * with what there is whenever it does. Once there is overload a long queue is of no use to anybody, so that
 * turns are held short, and as soon as the loop waits again more is let in. Turns grow and shrink by a
 * factor, so the share of calls that is let in is steered by factors too: a proportional-integral controller
 * of the logarithm. It begins late and holds short, as CoDel does (RFC 8289).
 */
import { DomainError } from '../../errors/domain-error.ts';

/** Lets calls in, or does not. */
export interface Admission {
  /** OVERLOADED, with when to try again, for a call that is turned away; undefined: come in. */
  refusal(): DomainError | undefined;
  /**
   * Tells how long what came to the event loop had to wait until now, and how much of that the loop had
   * nothing to do, in milliseconds. It is to be told every `ADMISSION_LOOK_MS`, as far as possible.
   */
  look(waitedMs: number, idleMs: number): void;
  /** Calls turned away so far. */
  readonly refused: number;
  /** The share of calls that is turned away now, 0 to 1. */
  readonly share: number;
}

/** How admission is decided. */
export interface AdmissionOptions {
  /** How late the event loop may be before calls are turned away, in milliseconds; 0: all are let in. */
  readonly targetMs: number;
  /** Told when calls begin to be turned away, and, with how many it were, when that ends. */
  readonly onChange?: (refused: number | undefined) => void;
}

/** How often the event loop is looked at, in milliseconds. */
export const ADMISSION_LOOK_MS = 20;

/** Turns in a row that are too long before anything is done. */
const LATE_TURNS = 3;
/** How long turns are held while calls are turned away, in milliseconds. */
const HELD_TURN_MS = 2 * ADMISSION_LOOK_MS;
/** A loop that waited for more than this part of a turn is done with all that there was. */
const IDLE_SHARE = 0.05;
/** How strongly the length of a turn counts, and how strongly its change. */
const INTEGRAL = 0.2;
const PROPORTIONAL = 0.7;
/** A server that let in nobody would never learn that it could. */
const ADMITTED_MIN = 0.01;
const RETRY_AFTER_MS = 1000;
const RETRY_SPREAD_MS = 100;
/** Callers are told different times, so that they do not come back together. */
const REFUSALS: readonly DomainError[] = Array.from({ length: 10 }, (_, at) => {
  const message = 'the server has more to do than it can; try again later';
  return new DomainError('OVERLOADED', message, {
    retryAfterMs: RETRY_AFTER_MS + at * RETRY_SPREAD_MS,
  });
});

/** Creates an admission that lets everybody in until it is told otherwise. */
export function createAdmission({ targetMs, onChange }: AdmissionOptions): Admission {
  const longestMs = ADMISSION_LOOK_MS + targetMs;
  const heldMs = Math.min(HELD_TURN_MS, longestMs);
  let admitted = 1;
  let lateTurns = 0;
  let lastMs = ADMISSION_LOOK_MS;
  let owed = 0;
  let refused = 0;
  let refusedBefore = 0;

  function steer(turnMs: number): void {
    const before = admitted;
    const wanted = admitted * (heldMs / turnMs) ** INTEGRAL * (lastMs / turnMs) ** PROPORTIONAL;
    admitted = Math.min(1, Math.max(ADMITTED_MIN, wanted));
    if (before === 1 && admitted < 1) {
      refusedBefore = refused;
      onChange?.(undefined);
    } else if (before < 1 && admitted === 1) onChange?.(refused - refusedBefore);
  }

  return {
    look(waitedMs, idleMs) {
      if (targetMs === 0) return;
      const isQueueEmpty = idleMs > waitedMs * IDLE_SHARE;
      const turnMs = isQueueEmpty ? ADMISSION_LOOK_MS : Math.max(ADMISSION_LOOK_MS, waitedMs);
      lateTurns = turnMs > longestMs ? lateTurns + 1 : 0;
      if (admitted < 1 || lateTurns >= LATE_TURNS) steer(turnMs);
      lastMs = turnMs;
    },
    refusal() {
      if (admitted === 1) return undefined;
      // Evenly spread, and never by luck more than the share.
      owed += 1 - admitted;
      if (owed < 1) return undefined;
      owed -= 1;
      refused += 1;
      return REFUSALS[refused % REFUSALS.length];
    },
    get refused() {
      return refused;
    },
    get share() {
      return 1 - admitted;
    },
  };
}
