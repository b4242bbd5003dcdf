import { afterAll, beforeAll, expect, it } from 'vitest';

import { createAudit } from '../../../src/domain/audit/audit.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { entry, KEY, listAll, verifyAll } from '../audit/open-audit.ts';
import { newSchema, openNode } from './scene.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

it('the audit chain is not forked by two nodes that write it at once', async () => {
  const schema = newSchema();
  const problems: string[] = [];
  await using opened = new AsyncDisposableStack();
  const open = async (): ReturnType<typeof createAudit> => {
    const engine = opened.use(await openNode(database, schema));
    const audit = await createAudit({
      ...{ engine, clock: systemClock, key: KEY, retainMs: 0 },
      onFailure: (problem) => problems.push(problem),
    });
    return opened.use(audit);
  };
  const [one, other] = [await open(), await open()];
  for (let round = 0; round < 5; round++) {
    const both = [one, other].flatMap((audit) => [0, 1, 2, 3].map(() => audit.record(entry('x'))));
    await Promise.all(both);
  }
  const third = await open();
  const numbers = (await listAll(third)).map(({ number }) => number);
  expect(numbers).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
  expect(await verifyAll(third)).toMatchObject({ checked: 40, fault: undefined });
  expect(problems).toEqual([]);
});
