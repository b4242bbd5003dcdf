import { describe, expect, it } from 'vitest';

import { createRoster } from '../../../src/platform/roster.ts';
import { createRandom } from '../../support/random.ts';
import { keptOf } from '../../support/kept.ts';

const MADE = 4000;
const NUMBERS = 250;
const KEPT_MIB = (MADE * NUMBERS * 8) / 1024 / 1024;
const HERE = 8;

/** What comes, is here for a while, and goes. */
const newLoad = (at: number): readonly number[] =>
  Array.from({ length: NUMBERS }, (_, n) => (at + n) / 3);

/** Takes one in, and lets the one that is here longest go. */
function passing(add: (load: readonly number[]) => () => void): () => void {
  const here: (() => void)[] = [];
  let made = 0;
  return () => {
    here.push(add(newLoad(made++)));
    if (here.length > HERE) here.shift()?.();
  };
}

describe('a roster', () => {
  it('has whoever came and did not go, like a set', () => {
    const random = createRandom(7);
    const roster = createRoster<number>();
    const expected = new Set<number>();
    const leaving: [number, () => void][] = [];
    for (let at = 0; at < 2000; at++) {
      const isComing = leaving.length === 0 || random.below(2) === 0;
      if (isComing) {
        expected.add(at);
        leaving.push([at, roster.add(at)]);
      } else {
        const [one, leave] = leaving[random.below(leaving.length)] ?? [-1, () => undefined];
        expected.delete(one);
        // Some of them again.
        leave();
      }
      expect(roster.size).toBe(expected.size);
    }
    expect([...roster].sort((a, b) => a - b)).toEqual([...expected].sort((a, b) => a - b));
  });

  it('tells of those who were here at the beginning, whoever goes meanwhile', () => {
    const roster = createRoster<number>();
    const leaving = [1, 2, 3, 4].map((one) => roster.add(one));
    const seen: number[] = [];
    for (const one of roster) {
      seen.push(one);
      for (const leave of leaving) leave();
      roster.add(one * 10);
    }
    expect(seen).toEqual([1, 2, 3, 4]);
    expect([...roster]).toEqual([10, 20, 30, 40]);
  });

  it('keeps nothing of those who went, as a map would', async () => {
    const roster = createRoster<readonly number[]>();
    const round = passing((load) => roster.add(load));
    expect(await keptOf(round, MADE, 500)).toBeLessThan(KEPT_MIB / 8);
    let id = 0;
    const map = new Map<number, readonly number[]>();
    const mapped = passing((load) => {
      const own = ++id;
      map.set(own, load);
      return () => map.delete(own);
    });
    expect(await keptOf(mapped, MADE, 500)).toBeGreaterThan(KEPT_MIB / 4);
  });
});
