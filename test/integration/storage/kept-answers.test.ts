/** What the threads of a store have answered goes with the next collection of what is young, however many answers follow. */
import { expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { keptOf } from '../../support/kept.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { QUERY } from '../../unit/query/memory-engine.ts';

const TEXT = 'x'.repeat(1000);
const DOCUMENTS = 50;
/** Read at once, as by several callers. */
const CALLERS = 2;
/** Of each caller, one after the other. */
const ASKED = 4;
const ROUNDS = 100;
const ANSWERED_MIB = (ROUNDS * CALLERS * ASKED * DOCUMENTS * TEXT.length) / 1024 / 1024;

it('answers of queries', async () => {
  using directory = createTemporaryDirectory();
  await using engine = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
  await engine.transact({ durability: 'async' }, (transaction) => {
    transaction.createCollection('things', { rules: '{}', documentsMax: undefined });
    for (let n = 0; n < DOCUMENTS; n++) {
      const body = JSON.stringify({ text: TEXT });
      transaction.put({ collection: 'things', key: `k${String(n)}`, body });
    }
  });
  const query = { ...QUERY, collection: 'things' };
  const caller = async (): Promise<void> => {
    for (let asked = 0; asked < ASKED; asked++) await engine.query(query);
  };
  const round = (): Promise<unknown> => Promise.all(Array.from({ length: CALLERS }, caller));
  await round();
  expect((await engine.query(query)).documents).toHaveLength(DOCUMENTS);
  // A Map of what is under way kept a sixth of them and more.
  expect(await keptOf(round, ROUNDS, 10)).toBeLessThan(ANSWERED_MIB / 32);
});
