/** Numbers that look random and come again with the same seed. */
export interface Random {
  /** From 0 up to, and without, `end`. */
  below(end: number): number;
}

/** Mulberry32, by Tommy Ettinger: one 32-bit word of state, enough to choose among test cases. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    below(end) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
    },
  };
}

/** What all chance of this run comes from; chosen and printed by `seed-of-run.ts`. */
export function seedOfRun(): number {
  const seed = Number(process.env['MOLTEN_SEED'] ?? NaN);
  if (Number.isSafeInteger(seed)) return seed;
  throw new Error('MOLTEN_SEED is not a whole number; run tests by the configuration of this tree');
}

/** The seed of the run, printed again beside the test that it decides. */
export function printedSeed(): number {
  const seed = seedOfRun();
  process.stdout.write(`MOLTEN_SEED=${String(seed)}\n`);
  return seed;
}
