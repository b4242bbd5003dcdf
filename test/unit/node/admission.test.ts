import { describe, expect, it } from 'vitest';

import {
  ADMISSION_LOOK_MS,
  createAdmission,
  type Admission,
} from '../../../src/domain/node/admission.ts';
import { createRandom } from '../../support/random.ts';

const TARGET_MS = 200;
/** What a call that is turned away costs, of one that is let in. */
const REFUSAL_COST = 0.2;

/** Looks many times at an event loop that is always as late, and has no time to wait. */
function lookAt(admission: Admission, delayMs: number, looks: number): void {
  for (let at = 0; at < looks; at++) admission.look(ADMISSION_LOOK_MS + delayMs, 0);
}

/** Looks at one that is late, and waits now and then all the same, as where a process gets no core. */
function lookAtStarved(admission: Admission, looks: number): void {
  for (let at = 0; at < looks; at++) admission.look(10_000, 1000);
}

/** How many of some calls are turned away. */
function turnedAway(admission: Admission, calls: number): number {
  return Array.from({ length: calls }, () => admission.refusal()).filter(Boolean).length;
}

/** What came of a run. */
interface Run {
  /** How long what came at each millisecond had to wait. */
  readonly waits: readonly number[];
  /** The part of the time in which there was nothing to do. */
  readonly idle: number;
  /** The part of what was offered that was turned away. */
  readonly refused: number;
}

/** What comes to a server: a multiple of what it can do, and pauses, how often on the average and how long. */
interface Offered {
  readonly load: number;
  readonly pauseEveryMs: number;
  readonly pauseMs: number;
}

/**
 * A server that is offered a multiple of what it can do, millisecond by millisecond; now and then there is
 * a pause that is nobody's call. It asks how long a message waits as the server does: the next one when the
 * last one has come, and no more often than twice in `ADMISSION_LOOK_MS`.
 */
function runOffered(offered: Offered, admission: Admission, totalMs: number): Run {
  const { load, pauseEveryMs, pauseMs } = offered;
  const random = createRandom(1);
  const waits: number[] = [];
  let refused = 0;
  let [queueMs, idleMs, sentMs, idleWhenSentMs, answerMs] = [0, 0, 0, 0, 0];
  for (let atMs = 0; atMs < totalMs; atMs++) {
    const noise = random.below(2000) / 1000;
    const calls = 1 - admission.share * (1 - REFUSAL_COST);
    const pausedMs = random.below(pauseEveryMs) === 0 ? pauseMs : 0;
    refused += (noise * admission.share) / totalMs;
    const restMs = queueMs + load * calls * noise + pausedMs - 1;
    queueMs = Math.max(0, restMs);
    idleMs += Math.max(0, -restMs);
    waits.push(queueMs);
    if (atMs === answerMs) admission.look(atMs - sentMs, idleMs - idleWhenSentMs);
    if (atMs >= answerMs && atMs - sentMs >= ADMISSION_LOOK_MS / 2) {
      [sentMs, idleWhenSentMs] = [atMs, idleMs];
      answerMs = atMs + Math.max(1, Math.round(queueMs));
    }
  }
  return { waits, idle: idleMs / totalMs, refused };
}

/** With a long pause now and then. */
function runAt(load: number, admission: Admission, totalMs: number): Run {
  return runOffered({ load, pauseEveryMs: 20_000, pauseMs: 200 }, admission, totalMs);
}

/** What a call takes of a server that so many callers ask again as soon as they are answered, in milliseconds. */
const CALL_MS = 0.4;
const REFUSAL_MS = 0.04;

/** The part of such a server's time that goes to calls that are let in, with one message to itself a turn. */
function shareOfWork(callers: number, admission: Admission, turns: number): number {
  let [workMs, totalMs] = [0, 0];
  for (let turn = 0; turn < turns; turn++) {
    const refused = turnedAway(admission, callers);
    const letInMs = (callers - refused) * CALL_MS;
    const turnMs = letInMs + refused * REFUSAL_MS;
    admission.look(turnMs, 0);
    workMs += letInMs;
    totalMs += turnMs;
  }
  return workMs / totalMs;
}

/** One that has met overload, and what it has told since it was made. */
function overloaded(): { readonly admission: Admission; readonly told: (number | undefined)[] } {
  const told: (number | undefined)[] = [];
  const admission = createAdmission({
    targetMs: TARGET_MS,
    onChange: (refused) => told.push(refused),
  });
  lookAt(admission, 10_000, 100);
  return { admission, told };
}

describe('admission', () => {
  it('lets everybody in while the event loop is no later than the target', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, TARGET_MS, 1000);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it('turns calls away after the second wait in a row that is too long', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, TARGET_MS + 1, 1);
    expect(turnedAway(admission, 100)).toBe(0);
    lookAt(admission, TARGET_MS + 1, 1);
    expect(turnedAway(admission, 100)).toBeGreaterThan(50);
  });

  it('lets everybody in after a long pause, while what it left is worked off', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    for (let pause = 0; pause < 20; pause++) {
      for (let waitMs = 2000; waitMs > 20; waitMs *= 0.75) admission.look(waitMs, 0);
      lookAt(admission, 0, 1);
      expect(turnedAway(admission, 100)).toBe(0);
    }
  });

  it('does not wait for the end of what will be the second wait in a row that is too long', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    const ahead = (waitedMs: number, idleMs: number): number => {
      admission.lookAhead(waitedMs, () => idleMs);
      return turnedAway(admission, 100);
    };
    expect(ahead(10_000, 0)).toBe(0);
    admission.look(400, 0);
    expect(ahead(300, 0)).toBe(0);
    expect(ahead(330, 100)).toBe(0);
    expect(ahead(330, 0)).toBeGreaterThan(90);
  });

  it('lets everybody in while the event loop waits now and then, however late it is', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAtStarved(admission, 1000);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it('lets more in as soon as the event loop waits, however late it is', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, 10_000, 100);
    lookAtStarved(admission, 100);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it('lets everybody in when it has no target', () => {
    const admission = createAdmission({ targetMs: 0 });
    lookAt(admission, 10_000, 100);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it.each([1.1, 1.5, 2, 3])(
    'keeps waits short and the server busy at %s times the capacity',
    (load) => {
      const admission = createAdmission({ targetMs: TARGET_MS });
      runAt(load, admission, 10_000);
      const { waits, idle } = runAt(load, admission, 120_000);
      const sorted = waits.toSorted((a, b) => a - b);
      expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(TARGET_MS / 4);
      expect(idle).toBeLessThan(0.02);
    },
  );

  it.each([300, 1000, 2000])(
    'leaves half of the time to those let in when %i callers come back at once',
    (callers) => {
      const admission = createAdmission({ targetMs: TARGET_MS });
      shareOfWork(callers, admission, 1000);
      expect(shareOfWork(callers, admission, 5000)).toBeGreaterThan(0.5);
    },
  );

  it('turns nobody away any more five seconds after the load is gone', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    runAt(4, admission, 60_000);
    expect(admission.share).toBeGreaterThan(0.5);
    runAt(0.5, admission, 5000);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it('ends though there is a long piece of work now and then', () => {
    const { admission, told } = overloaded();
    runAt(0.1, admission, 2000);
    for (let pause = 0; pause < 20; pause++) {
      admission.look(300, 0);
      expect(turnedAway(admission, 100)).toBe(0);
      for (let at = 0; at < 100; at++) admission.look(1, 1);
    }
    expect(told).toEqual([undefined, expect.any(Number)]);
  });

  it('turns away its share exactly, and never everybody', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, 10_000, 100);
    expect(admission.share).toBe(0.99);
    expect(turnedAway(admission, 10_000)).toBeCloseTo(9900, -1);
  });

  it('says when to come back, and not the same to all', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, 10_000, 100);
    const refusals = Array.from({ length: 100 }, () => admission.refusal());
    expect(new Set(refusals.map((one) => one?.reason))).toEqual(new Set(['OVERLOADED', undefined]));
    const waits = new Set(refusals.flatMap((one) => one?.retryAfterMs ?? []));
    expect(waits.size).toBe(10);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000);
  });

  it('turns nobody away for two waits that are too long, when an overload is hardly over', () => {
    const { admission } = overloaded();
    runAt(0.1, admission, 500);
    for (let pause = 0; pause < 20; pause++) {
      for (const waitMs of [30, 40]) admission.look(waitMs, 0);
      expect(turnedAway(admission, 100)).toBe(0);
      admission.look(1, 1);
    }
    lookAt(admission, 30, 3);
    expect(turnedAway(admission, 100)).toBeGreaterThan(0);
  });

  it('takes longer waits the longer it has let everybody in again', () => {
    const { admission } = overloaded();
    // Of 10,000 ms it would be over.
    runAt(0.1, admission, 7000);
    lookAt(admission, 90, 10);
    expect(turnedAway(admission, 100)).toBe(0);
    lookAt(admission, TARGET_MS + 1, 3);
    expect(turnedAway(admission, 100)).toBeGreaterThan(0);
  });

  it('turns hardly anybody away at seven tenths of the capacity, when an overload is hardly over', () => {
    const { admission } = overloaded();
    const offered: Offered = { load: 0.7, pauseEveryMs: 300, pauseMs: 40 };
    const { refused } = runOffered(offered, admission, 60_000);
    expect(refused).toBeLessThan(0.002);
  });

  it('tells when it begins and ends, and how many it were', () => {
    const { admission, told } = overloaded();
    const count = turnedAway(admission, 500);
    runAt(0.1, admission, 60_000);
    expect(told).toEqual([undefined, count]);
  });
});
