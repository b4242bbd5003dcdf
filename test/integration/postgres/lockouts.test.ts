/** Failed sign-ins at two nodes whose clocks are ten minutes apart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { makeUser, tryLogin } from '../access/team.ts';
import { newSchema } from './scene.ts';

const APART_MS = 600_000;
const FIRST_WAIT_MS = 15_000;
const ALL_DURABLE = 'SELECT 1 FROM clock WHERE durable_seq = seq';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

interface Node extends AsyncDisposable {
  readonly server: TestServer;
  readonly clock: ManualClock;
}

async function startNode(schema: string, clock: ManualClock): Promise<Node> {
  const storage = { url: database.url(schema), password: database.password, connections: 4 };
  const server = await startTestServer({ storage, writeMode: 'sync' }, { clock });
  return { server, clock, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Two nodes that know `ada`; the clock of the second is ahead. */
async function startBoth(schema = newSchema()): Promise<readonly [behind: Node, ahead: Node]> {
  const clock = createManualClock();
  const behind = await startNode(schema, clock);
  const ahead = await startNode(schema, createManualClock(clock.now() + APART_MS));
  await makeUser(behind.server, 'ada');
  return [behind, ahead];
}

async function fail({ server }: Node, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    expect((await tryLogin(server, 'ada', 'a wrong one')).body.reason).toBe('CREDENTIAL_INVALID');
  }
}

/** How long `ada` must wait by the clock of a node, in milliseconds; undefined: not at all. */
async function waitAt({ server, clock }: Node): Promise<number | undefined> {
  const { body } = await server.asRoot('GET', '/v1/users/ada');
  const time = body.user.waitTime as string | undefined;
  return time === undefined ? undefined : Date.parse(time) - clock.now();
}

describe('failures at nodes whose clocks are apart', () => {
  it('count together, whichever of them is ahead', async () => {
    const [behind, ahead] = await startBoth();
    await using _ = behind;
    await using __ = ahead;
    await fail(ahead, 2);
    await fail(behind, 3);
    for (const node of [behind, ahead]) {
      await expect.poll(() => waitAt(node)).toBe(FIRST_WAIT_MS);
      expect((await tryLogin(node.server, 'ada')).body.reason).toBe('RATE_LIMITED');
    }
    for (const node of [behind, ahead]) node.clock.advance(FIRST_WAIT_MS);
    await fail(ahead, 1);
    for (const node of [behind, ahead]) {
      await expect.poll(() => waitAt(node)).toBe(2 * FIRST_WAIT_MS);
    }
  });

  it.each([
    ['behind', 0],
    ['ahead', 1],
  ] as const)('make the account wait at both, all at the one that is %s', async (_, at) => {
    const schema = newSchema();
    const both = await startBoth(schema);
    await using __ = both[0];
    await using ___ = both[1];
    await fail(both[at], 5);
    for (const node of both) await expect.poll(() => waitAt(node)).toBe(FIRST_WAIT_MS);
    // Then whoever signs in has heard of all of them.
    await expect.poll(() => database.run(schema, ALL_DURABLE)).toHaveLength(1);
    // Who gets in makes all of them forgotten, at both.
    for (const node of both) node.clock.advance(FIRST_WAIT_MS);
    expect((await tryLogin(both[1 - at]?.server ?? both[0].server, 'ada')).status).toBe(200);
    await fail(both[1 - at] ?? both[0], 4);
    for (const node of both) expect(await waitAt(node)).toBeUndefined();
  });

  it('are all counted, also those of one moment', async () => {
    const [behind, ahead] = await startBoth();
    await using _ = behind;
    await using __ = ahead;
    // Fewer than make anybody wait, so that all are tried.
    await Promise.all([fail(behind, 2), fail(ahead, 2)]);
    await fail(behind, 1);
    for (const node of [behind, ahead]) {
      await expect.poll(() => waitAt(node)).toBe(FIRST_WAIT_MS);
    }
  });

  it('make nobody wait for longer at a node that is started afterwards', async () => {
    const schema = newSchema();
    const clock = createManualClock();
    const ahead = await startNode(schema, createManualClock(clock.now() + APART_MS));
    await using _ = ahead;
    await makeUser(ahead.server, 'ada');
    await fail(ahead, 5);
    await using behind = await startNode(schema, clock);
    expect(await waitAt(behind)).toBe(FIRST_WAIT_MS);
    clock.advance(FIRST_WAIT_MS);
    expect(await waitAt(behind)).toBeUndefined();
    expect((await tryLogin(behind.server, 'ada')).status).toBe(200);
  });
});
