import { randomInt } from 'node:crypto';

/** Called by the test runner before the first file: chance is chosen once for a run, and told. */
export default function setup(): void {
  if (process.env['MOLTEN_SEED'] !== undefined) return;
  const seed = String(randomInt(2 ** 31));
  process.env['MOLTEN_SEED'] = seed;
  process.stdout.write(`MOLTEN_SEED=${seed} tries the same cases again\n`);
}
