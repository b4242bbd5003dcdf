/**
 * Turns calls away before they would wait too long, so that those let in are answered soon and the server
 * does as much as it does without overload.
 *
 * What is looked at is how long whatever comes now waits until the event loop takes it. Overload is two such
 * waits in a row that are too long, with a loop that never had nothing to do: a single long piece of work is
 * none, nor what it leaves behind, nor a process that gets no core but is done with what there is whenever
 * it does. Once there is overload a long queue is of no use to anybody, so that waits are held short, and as
 * soon as the loop has nothing to do more is let in. Waits grow and shrink with the share of calls that is let
 * in, which is steered by factors: a proportional-integral controller of the logarithm. It begins late and
 * holds short, as CoDel does (RFC 8289).
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
  /** Tells the same of what is not there yet; `idleMs` is asked for only where it matters. */
  lookAhead(waitedMs: number, idleMs: () => number): void;
  /** Calls turned away so far. */
  readonly refused: number;
  /** The share of calls that is turned away now, 0 to 1. */
  readonly share: number;
}

/** How admission is decided. */
export interface AdmissionOptions {
  /** How late the event loop may be before calls are turned away, in milliseconds; 0: all are let in. */
  readonly targetMs: number;
  /** Told when overload begins, and, with how many calls were turned away, some ten seconds after the last. */
  readonly onChange?: (refused: number | undefined) => void;
}

/** How often the event loop is looked at, in milliseconds. */
export const ADMISSION_LOOK_MS = 10;

/** The shortest wait that is told from none, in milliseconds. */
const WAIT_MIN_MS = ADMISSION_LOOK_MS / 2;
/** Waits in a row that are too long before anything is done. */
const LATE_LOOKS = 2;
/** The same while an overload is not yet over and all are let in: waits are too long sooner then, for pauses as well. */
const LATE_LOOKS_AGAIN = 3;
/** What a long piece of work has left behind is worked off: a wait that is as much shorter begins a new row. */
const FALLING = 0.8;
/**
 * How long waits are held while calls are turned away, in milliseconds, at least. Shorter ones leave the loop without work
 * more often, and have its threads and its groups of writes begin anew for less work each.
 */
const HELD_MS = 1.6 * ADMISSION_LOOK_MS;
/** About what it takes to turn a call away, in milliseconds: some of the socket, some of HTTP. */
const REFUSAL_MS = 0.04;
/** Waits are held at no less than this many times what turning away takes of them. */
const HELD_PER_REFUSING = 3;
/** A loop that had nothing to do for more than this part of a wait is done with all that there was. */
const IDLE_SHARE = 0.05;
/** How strongly the length of a wait counts, each second, and how strongly its change. */
const INTEGRAL_PER_SECOND = 4;
const PROPORTIONAL = 0.6;
/** Waits in a row, of 5 to 10 ms, with nobody turned away, before overload is over; until then it is met sooner. */
const CALM_LOOKS = 2000;
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
  let isOverload = false;
  let admitted = 1;
  let lateLooks = 0;
  let lastMs = WAIT_MIN_MS;
  let calmLooks = 0;
  let isAhead = false;
  let refused = 0;
  let refusedBefore = 0;
  let refusedAtLook = 0;
  let heldMs = heldFor(0, longestMs);
  const isChosen = createSpread();

  function begin(): void {
    isOverload = true;
    calmLooks = 0;
    refusedBefore = refused;
    onChange?.(undefined);
  }

  function countLate(waitMs: number): void {
    const isLate = waitMs > (isOverload ? againFor(heldMs, longestMs, calmLooks) : longestMs);
    lateLooks = isLate ? (waitMs < FALLING * lastMs ? 1 : lateLooks + 1) : 0;
  }

  /** A single long wait is no queue, after an overload as before it. */
  function decide(waitMs: number, elapsedMs: number): void {
    if (admitted < 1 || lateLooks >= lateLooksMin(calmLooks)) steer(waitMs, elapsedMs);
    calmLooks = admitted === 1 ? calmLooks + 1 : 0;
    if (calmLooks < CALM_LOOKS) return;
    isOverload = false;
    onChange?.(refused - refusedBefore);
  }

  function steer(waitMs: number, elapsedMs: number): void {
    const integral = ((INTEGRAL_PER_SECOND * elapsedMs) / 1000) * Math.log(heldMs / waitMs);
    const proportional = PROPORTIONAL * Math.log(lastMs / waitMs);
    const wanted = admitted * Math.exp(integral + proportional);
    admitted = Math.min(1, Math.max(ADMITTED_MIN, wanted));
  }

  return {
    look(waitedMs, idleMs) {
      if (targetMs === 0) return;
      const waitMs = isEmpty(waitedMs, idleMs) ? WAIT_MIN_MS : Math.max(WAIT_MIN_MS, waitedMs);
      heldMs = heldFor(refused - refusedAtLook, longestMs);
      refusedAtLook = refused;
      countLate(waitMs);
      if (!isOverload && lateLooks >= LATE_LOOKS) begin();
      // All of the wait counts now, and once.
      if (isAhead) admitted = 1;
      isAhead = false;
      if (isOverload) decide(waitMs, Math.max(WAIT_MIN_MS, waitedMs));
      lastMs = waitMs;
    },
    lookAhead(waitedMs, idleMs) {
      // The wait will be no shorter, and the last that it takes.
      if (isOverload || lateLooks < LATE_LOOKS - 1 || targetMs === 0) return;
      if (waitedMs <= longestMs || waitedMs < FALLING * lastMs) return;
      if (isEmpty(waitedMs, idleMs())) return;
      begin();
      steer(waitedMs, waitedMs);
      isAhead = true;
    },
    refusal() {
      if (admitted === 1 || !isChosen(1 - admitted)) return undefined;
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

/** Waits in a row that are too long before calls are turned away, after so many that let all in. */
function lateLooksMin(calmLooks: number): number {
  return calmLooks === 0 ? LATE_LOOKS : LATE_LOOKS_AGAIN;
}

/**
 * How long waits may be while all are let in again and overload is not yet over. The longer that has lasted, the longer: it
 * would come back at once where there is more to do than can be done, and pauses come at any time.
 */
function againFor(heldMs: number, longestMs: number, calmLooks: number): number {
  return heldMs + ((longestMs - heldMs) * calmLooks) / CALM_LOOKS;
}

/** Chooses a share of calls, evenly spread, and never by luck more than the share. */
function createSpread(): (share: number) => boolean {
  let owed = 0;
  return (share) => {
    owed += share;
    if (owed < 1) return false;
    owed -= 1;
    return true;
  };
}

/**
 * How long to hold waits, after one in which some calls were turned away. Callers who come back at once would keep the
 * loop at turning them away, however few are let in: where they alone make waits too long, longer ones are what leaves
 * time for the others.
 */
function heldFor(refusedInWait: number, longestMs: number): number {
  const refusingMs = refusedInWait * REFUSAL_MS;
  return Math.min(longestMs, Math.max(HELD_MS, HELD_PER_REFUSING * refusingMs));
}

/** Whether the loop was done with all that there was. */
function isEmpty(waitedMs: number, idleMs: number): boolean {
  return idleMs > waitedMs * IDLE_SHARE;
}
