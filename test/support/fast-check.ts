/**
 * fast-check with the seed of the run, which `seed-of-run.ts` prints before the first test: MOLTEN_SEED tries
 * the same cases again.
 */
import fc from 'fast-check';

import { seedOfRun } from './random.ts';

fc.configureGlobal({ seed: seedOfRun() });

export type { Arbitrary } from 'fast-check';
export default fc;
