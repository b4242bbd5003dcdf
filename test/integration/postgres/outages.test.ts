import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import type { WatchRequest } from '../../../src/domain/watch/model.ts';
import { createWatches, type WatchContext } from '../../../src/domain/watch/watches.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { parseDatabaseUrl } from '../../../src/storage/postgres/address.ts';
import { connect, LOCK_MS } from '../../../src/storage/postgres/connections.ts';
import { sqlState } from '../../../src/storage/postgres/errors.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { failureOf, increment, logOf, newSchema, openNode, put } from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** Keys and versions of all puts, in their order. */
async function putsOf(node: StorageEngine): Promise<readonly string[]> {
  const puts = (await logOf(node)).filter(({ kind }) => kind === 'put');
  return puts.map(({ key, version }) => `${key} ${version.toString()}`);
}

const WAITING = `SELECT pid FROM pg_stat_activity
  WHERE application_name = 'moltendb' AND wait_event_type = 'Lock'`;

/** From now on whoever looks at the clock is refused, and counted. */
const refuse = (schema: string, state: string): Promise<unknown> =>
  database.run(
    schema,
    'BEGIN',
    'CREATE SEQUENCE refused',
    `CREATE FUNCTION refuse() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      PERFORM nextval('${schema}.refused');
      RAISE EXCEPTION 'refused' USING ERRCODE = '${state}';
    END $$`,
    'ALTER TABLE clock RENAME TO clock_row',
    'CREATE VIEW clock AS SELECT * FROM clock_row WHERE refuse()',
    'COMMIT',
  );
const allow = (schema: string): Promise<unknown> =>
  database.run(
    schema,
    'BEGIN',
    'DROP VIEW clock',
    'ALTER TABLE clock_row RENAME TO clock',
    'COMMIT',
  );
const refused = async (schema: string): Promise<number> => {
  const [row] = await database.run(schema, 'SELECT last_value::integer AS n FROM refused');
  return (row as { n: number }).n;
};

describe('a commit whose answer is lost', () => {
  it.each(['40001', '55P03', '53100', '25006'])(
    'is done once, though looking it up fails with %s at first',
    async (state) => {
      await using relay = await startCommitRelay(database.port);
      const schema = newSchema();
      await using node = await openNode(database, schema, database.url(schema, relay.port));
      expect(await increment(node)).toBe(1);
      relay.atCut = () => refuse(schema, state);
      relay.cutNext = 'after';
      const second = increment(node);
      await expect.poll(() => relay.cuts).toBe(1);
      // More often than a conflict is tried again.
      await expect
        .poll(() => refused(schema).catch(() => 0), { timeout: 20_000 })
        .toBeGreaterThan(25);
      await allow(schema);
      expect(await second).toBe(2);
      expect(await putsOf(node)).toEqual(['counter 1', 'counter 2']);
    },
  );

  it('is never called refused when it cannot be looked up', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using node = await openNode(database, schema, database.url(schema, relay.port));
    expect(await increment(node)).toBe(1);
    relay.atCut = () => refuse(schema, '53100');
    relay.cutNext = 'after';
    expect(await failureOf(increment(node))).toBe(
      'ENGINE_UNAVAILABLE: the database cannot be reached; try again when it is back',
    );
    await allow(schema);
    expect(await putsOf(node)).toEqual(['counter 1', 'counter 2']);
  });

  it('is done once when the connection is silent for longer than a turn is tried', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    const { password } = database;
    await using node = await openPostgresStore({
      ...{ url: database.url(schema, relay.port), password, clock: systemClock },
      statementMs: 9000,
    });
    expect(await increment(node)).toBe(1);
    relay.cutNext = 'silent';
    expect(await increment(node)).toBe(2);
    expect(relay.cuts).toBe(1);
    expect(await putsOf(node)).toEqual(['counter 1', 'counter 2']);
  });
});

describe('a server that ends at a COMMIT', () => {
  it('has not refused it, whatever it says', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using node = await openNode(database, schema, database.url(schema, relay.port));
    expect(await increment(node)).toBe(1);
    relay.cutNext = 'panic';
    expect(await increment(node)).toBe(2);
    expect(relay.cuts).toBe(1);
    expect(await putsOf(node)).toEqual(['counter 1', 'counter 2']);
  });
});

describe('work that nobody waits for', () => {
  it('tells when it fails', async () => {
    const schema = newSchema();
    const { password } = database;
    const failures = new Set<string>();
    await using _ = await openPostgresStore({
      ...{ url: database.url(schema), password, clock: systemClock },
      observer: {
        ...{ committed: () => undefined, synced: () => undefined },
        failed: (work, error) => failures.add(`${work}: ${String(error)}`),
      },
    });
    const told = (): readonly string[] => [...failures];
    await database.run(
      schema,
      'ALTER TABLE retired_idx RENAME TO away',
      'UPDATE clock SET has_work = true',
    );
    await expect
      .poll(told, { timeout: 20_000 })
      .toEqual([
        'building indexes and freeing space: DomainError: the store failed unexpectedly with 42P01',
      ]);
    await database.run(schema, 'ALTER TABLE away RENAME TO retired_idx');
    const working = (): Promise<unknown> => database.run(schema, 'SELECT has_work FROM clock');
    await expect.poll(working, { timeout: 20_000 }).toEqual([{ has_work: false }]);
    failures.clear();
    await refuse(schema, 'XX000');
    await expect.poll(told, { timeout: 20_000 }).toEqual(['following the log: error: refused']);
    await allow(schema);
  });
});

describe('a copy', () => {
  it('does not end with what is not on disk', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    await using node = await openNode(database, schema);
    await put(node, 'a');
    await database.run(
      schema,
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'not now'; END $$`,
      `CREATE TRIGGER refuse BEFORE UPDATE ON clock FOR EACH ROW
         WHEN (NEW.seq = OLD.seq AND NEW.durable_seq > OLD.durable_seq) EXECUTE FUNCTION refuse()`,
    );
    await node.transact({ durability: 'async' }, (transaction) => {
      transaction.put({ collection: 'things', key: 'b', body: '{}' });
    });
    const copied = join(directory.path, 'copy');
    expect(await failureOf(node.copy(copied))).toMatch(/ENGINE_FAILED|INTERNAL/);
    await database.run(schema, 'DROP TRIGGER refuse ON clock');
    expect(await node.copy(copied)).toMatchObject({ sequence: 3n, documents: 2 });
    expect((await node.head()).durableSequence).toBe(3n);
  });
});

describe('a statement of a transaction that has failed', () => {
  it('fails with what failed first, whichever is looked at', async () => {
    const address = parseDatabaseUrl(database.url(newSchema()), database.password);
    const times = { connectMs: 5000, statementMs: 5000, lockMs: LOCK_MS };
    const connection = await connect(address, times);
    const outcomes = await Promise.allSettled(
      ['BEGIN', 'SELECT 1 / 0', 'SELECT 1', 'COMMIT'].map((text) => connection.command(text)),
    );
    const states = outcomes.map((one) =>
      one.status === 'fulfilled' ? one.value : sqlState(one.reason),
    );
    expect(states).toEqual(['BEGIN', '22012', '22012', 'ROLLBACK']);
    await connection.close();
  });
});

describe('a node that stands still at the log', () => {
  it('is ended before those who wait give up, and learns what became of its commit', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using one = await openNode(database, schema, database.url(schema, relay.port));
    await using other = await openNode(database, schema);
    expect(await increment(one)).toBe(1);
    const lock = 'SELECT 1 FROM clock FOR UPDATE';
    // Both wait already when one of them gets its turn.
    const busy = database.run(schema, 'BEGIN', lock, 'SELECT pg_sleep(3)', 'COMMIT');
    await expect
      .poll(() =>
        database.run(schema, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
      )
      .toHaveLength(1);
    relay.cutNext = 'held';
    const first = increment(one);
    await expect.poll(() => database.run(schema, WAITING)).toHaveLength(1);
    const second = increment(other, 'b');
    await expect.poll(() => database.run(schema, WAITING)).toHaveLength(2);
    await busy;
    expect(await second).toBe(1);
    expect(await first).toBe(2);
    expect(relay.cuts).toBe(1);
    expect(await putsOf(other)).toEqual(['counter 1', 'b 1', 'counter 2']);
  });
});

describe('a primary that has become a standby', () => {
  it('is left alone by reads, writes and those who start, until it takes writes again', async () => {
    let data = '';
    await using server = await startPostgres({}, (directory) => {
      data = directory;
      return {};
    });
    const schema = newSchema();
    await using node = await openNode(server, schema);
    await put(node, 'a');
    await server.kill();
    const { uid, gid } = statSync(data);
    writeFileSync(join(data, 'standby.signal'), '');
    chownSync(join(data, 'standby.signal'), uid, gid);
    // It is up when it has been promoted.
    const promoted = server.start();
    const recovery = (): Promise<readonly object[] | undefined> =>
      server.run(schema, 'SELECT pg_is_in_recovery() AS recovers').catch(() => undefined);
    await expect.poll(recovery, { timeout: 20_000 }).toEqual([{ recovers: true }]);
    await expect.poll(() => node.health().state, { timeout: 20_000 }).toBe('readOnly');
    const away =
      'ENGINE_UNAVAILABLE: the database takes no writes: it is a standby or set to read only; try again when the primary is back';
    expect(await failureOf(node.get('things', ['a']))).toBe(away);
    expect(await failureOf(put(node, 'b'))).toBe(away);
    expect(await failureOf(openNode(server, schema))).toMatch(
      /the server is a standby or set to read only; the address has to lead to the primary/,
    );
    await server.run(schema, 'SELECT pg_promote()');
    await promoted;
    expect(await failureOf(put(node, 'c'))).toBeUndefined();
    await expect.poll(() => node.health().state, { timeout: 20_000 }).toBe('ready');
    expect(await putsOf(node)).toEqual(['a 1', 'c 1']);
  });
});

/** Two nodes, of which the first one's commit waits. */
interface WaitingScene extends AsyncDisposable {
  readonly server: TestPostgres;
  readonly schema: string;
  readonly nodes: readonly [StorageEngine, StorageEngine];
  /** Of another store. */
  readonly beside: StorageEngine;
  readonly write: Promise<bigint>;
  readonly waiting: () => Promise<readonly object[]>;
  /** Lets it wait no longer. */
  readonly release: () => Promise<unknown>;
}

async function openWaiting(): Promise<WaitingScene> {
  const opened = new AsyncDisposableStack();
  const server = opened.use(await startPostgres());
  const schema = newSchema();
  const node = opened.use(await openNode(server, schema));
  const other = opened.use(await openNode(server, schema));
  const beside = opened.use(await openNode(server, newSchema()));
  await put(node, 'a');
  const standby = (name: string): Promise<unknown> =>
    server.run(
      schema,
      `ALTER SYSTEM SET synchronous_standby_names = '${name}'`,
      'SELECT pg_reload_conf()',
    );
  await standby('one_that_is_away');
  const shown = 'SHOW synchronous_standby_names';
  await expect
    .poll(() => server.run(schema, shown))
    .not.toEqual([{ synchronous_standby_names: '' }]);
  const write = put(node, 'b');
  const waiting = (): Promise<readonly object[]> =>
    server.run(schema, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  await expect.poll(waiting).toHaveLength(1);
  return {
    ...{ server, schema, nodes: [node, other], beside, write, waiting, release: () => standby('') },
    async [Symbol.asyncDispose]() {
      await standby('');
      await opened.disposeAsync();
    },
  };
}

describe('a commit that waits for a standby', () => {
  it('keeps no node from following the log', async () => {
    await using scene = await openWaiting();
    const { server, schema, nodes, write, waiting, release } = scene;
    // Both have something to tell; the row of one is held by its own commit.
    const unpin = nodes.map((one) => one.pin(() => toSequence(1)));
    for (const one of nodes) {
      let [looks, lastMs] = [0, 0];
      const follow = (): number => {
        const { lagMs = 0 } = one.health();
        looks += lagMs < lastMs ? 1 : 0;
        lastMs = lagMs;
        return looks;
      };
      await expect.poll(follow, { interval: 20, timeout: 20_000 }).toBeGreaterThan(8);
      expect(one.health().state).toBe('ready');
      expect(await one.get('things', ['a'])).toMatchObject([{ version: 1n }]);
    }
    expect(await waiting()).toHaveLength(1);
    const pinned = (): Promise<readonly object[]> =>
      server.run(schema, 'SELECT pinned FROM node ORDER BY pinned');
    expect(await pinned()).toEqual([{ pinned: '1' }, { pinned: null }]);
    await release();
    expect(await write).toBe(3n);
    // What it could not tell meanwhile it tells then.
    await expect.poll(pinned).toEqual([{ pinned: '1' }, { pinned: '1' }]);
    for (const one of unpin) one();
  });

  it('holds up neither those who begin to watch nor other stores', async () => {
    await using scene = await openWaiting();
    const { nodes, beside, write, waiting, release } = scene;
    await using watches = await createWatches({
      ...{ engine: nodes[1], clock: systemClock, lapseOf: () => undefined },
    });
    const keys: string[] = [];
    for await (const event of watches.open(WATCHING, EVERYTHING)) {
      if (event.kind === 'documents') keys.push(...event.documents.map(({ key }) => key));
      if (event.kind === 'current') break;
    }
    expect(keys).toEqual(['a']);
    await beside.transact({ durability: 'async' }, (transaction) => {
      transaction.put({ collection: 'things', key: 'c', body: '{}' });
    });
    expect(await waiting()).toHaveLength(1);
    await release();
    expect(await write).toBe(3n);
  });
});

const WATCHING: WatchContext = {
  principal: {
    ...{ kind: 'token', subject: 'root', tokenId: 't', expiresAtMs: Infinity },
    scopes: createScopeSet(['*:*:*']),
  },
  signal: new AbortController().signal,
  disconnect: () => undefined,
};
const EVERYTHING: WatchRequest = {
  targets: [{ collection: 'things', keys: [], keyPrefix: '', where: undefined }],
  ...{ start: { kind: 'initial' }, fields: [], withPrevious: false, fragment: false },
};
