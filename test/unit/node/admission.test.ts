import { describe, expect, it } from 'vitest';

import {
  ADMISSION_LOOK_MS,
  createAdmission,
  type Admission,
} from '../../../src/domain/node/admission.ts';
import { createRandom } from '../../support/random.ts';

const TARGET_MS = 50;
/** Callers do not ask again before they are answered, so no turn gets longer. */
const LONGEST_TURN_MS = 2000;

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

/**
 * A server that is offered a multiple of what it can do: what arrives in one turn of the event loop and is
 * let in makes the next one as long as it takes. Some turns are longer by a pause that is nobody's call.
 * Returns how long they were, and the part of the time in which there was nothing to do.
 */
function runAt(
  load: number,
  admission: Admission,
  totalMs: number,
): { readonly turns: readonly number[]; readonly idle: number } {
  const random = createRandom(1);
  const turns: number[] = [];
  let turnMs = ADMISSION_LOOK_MS;
  let workMs = 0;
  let idleMs = 0;
  let atMs = 0;
  for (; atMs < totalMs; atMs += turnMs) {
    turns.push(turnMs);
    idleMs += Math.max(0, turnMs - workMs);
    admission.look(turnMs, Math.max(0, turnMs - workMs));
    const noise = 0.8 + random.below(400) / 1000;
    const pauseMs = random.below(100) === 0 ? 200 : 0;
    workMs = Math.min(LONGEST_TURN_MS, load * (1 - admission.share) * turnMs * noise + pauseMs);
    turnMs = Math.max(ADMISSION_LOOK_MS, workMs);
  }
  return { turns, idle: idleMs / atMs };
}

describe('admission', () => {
  it('lets everybody in while the event loop is no later than the target', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    lookAt(admission, TARGET_MS, 1000);
    expect(turnedAway(admission, 1000)).toBe(0);
  });

  it('lets everybody in after long pauses that are no queue', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    for (let pause = 0; pause < 20; pause++) {
      lookAt(admission, 1000, 2);
      lookAt(admission, 0, 1);
      expect(turnedAway(admission, 100)).toBe(0);
    }
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

  it.each([1.5, 2, 4, 10])(
    'keeps turns short and the server busy at %s times the capacity',
    (load) => {
      const admission = createAdmission({ targetMs: TARGET_MS });
      runAt(load, admission, 10_000);
      const { turns, idle } = runAt(load, admission, 60_000);
      const sorted = turns.toSorted((a, b) => a - b);
      expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(3 * ADMISSION_LOOK_MS);
      expect(idle).toBeLessThan(0.05);
    },
  );

  it('turns nobody away any more five seconds after the load is gone', () => {
    const admission = createAdmission({ targetMs: TARGET_MS });
    runAt(4, admission, 60_000);
    expect(admission.share).toBeGreaterThan(0.5);
    runAt(0.5, admission, 5000);
    expect(turnedAway(admission, 1000)).toBe(0);
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

  it('tells when it begins and ends, and how many it were', () => {
    const told: (number | undefined)[] = [];
    const admission = createAdmission({
      targetMs: TARGET_MS,
      onChange: (refused) => told.push(refused),
    });
    lookAt(admission, 10_000, 100);
    const count = turnedAway(admission, 500);
    runAt(0.1, admission, 10_000);
    expect(told).toEqual([undefined, count]);
  });
});
