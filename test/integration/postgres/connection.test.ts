import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import {
  certificate,
  certificateOfAnother,
  otherCertificate,
  privateKey,
} from '../../support/certificate.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { failureOf, increment, logOf, newSchema, openNode, put } from './scene.ts';

/** A PostgreSQL with this certificate. */
function startWithTls(text: string): Promise<TestPostgres> {
  return startPostgres({}, (data) => {
    // Its key belongs to whoever the database runs as.
    const { uid, gid } = statSync(data);
    for (const [name, content] of [
      ['server.crt', text],
      ['server.key', privateKey],
    ] as const) {
      writeFileSync(join(data, name), content, { mode: 0o600 });
      chownSync(join(data, name), uid, gid);
    }
    return { ssl: 'on' };
  });
}

/** Opens a node that trusts a certificate, over the database at an address. */
async function openTrusting(
  database: TestPostgres,
  ca: string,
  host = '127.0.0.1',
): Promise<StorageEngine> {
  using directory = createTemporaryDirectory();
  const file = join(directory.path, 'ca.pem');
  writeFileSync(file, ca);
  const address = database.url(newSchema()).replace('127.0.0.1', host);
  const url = `${address}&sslmode=verify-full&sslrootcert=${file}`;
  return await openPostgresStore({ url, password: database.password, clock: systemClock });
}

describe('a database that speaks TLS', () => {
  it('is spoken to when its certificate is good, and otherwise not', async () => {
    await using database = await startWithTls(certificate);
    const node = await openTrusting(database, certificate);
    expect(await increment(node)).toBe(1);
    const schemas = await database.run('pg_catalog', 'SELECT ssl FROM pg_stat_ssl WHERE ssl');
    expect(schemas.length).toBeGreaterThan(0);
    await node.close();
    expect(await failureOf(openTrusting(database, otherCertificate))).toMatch(
      /^ENGINE_UNAVAILABLE: /,
    );
  });

  it.each(['127.0.0.1', 'localhost'])(
    'is not spoken to at %s when its certificate, which is trusted, is for another name',
    async (host) => {
      await using database = await startWithTls(certificateOfAnother);
      expect(await failureOf(openTrusting(database, certificateOfAnother, host))).toMatch(
        /^ENGINE_UNAVAILABLE: .*does not match certificate's altnames/,
      );
    },
  );
});

describe('a user of the database', () => {
  it('needs CREATE on it, and nothing else', async () => {
    await using database = await startPostgres();
    const password = 'of the user';
    await database.run(
      'public',
      `CREATE ROLE plain LOGIN PASSWORD '${password}'`,
      'GRANT CREATE ON DATABASE molten TO plain',
    );
    const address = new URL(database.url(newSchema()));
    address.username = 'plain';
    const open = (): Promise<StorageEngine> =>
      openPostgresStore({ url: address.href, password, clock: systemClock });
    await using node = await open();
    await using other = await open();
    const told = Promise.withResolvers<bigint>();
    other.onCommit(told.resolve);
    const sequence = await put(node, 'a');
    expect(await told.promise).toBe(sequence);
    await node.createIndex({
      collection: 'things',
      name: 'byN',
      fields: [{ path: 'n', direction: 'asc' }],
      unique: false,
    });
    const ready = async (): Promise<string | undefined> =>
      (await other.indexes('things'))[0]?.state;
    await expect.poll(ready).toBe('ready');
    const draw = { key: 'calls', windowMs: 1000, limit: 5, amount: 1 };
    expect((await other.budgets?.draw([draw]))?.nodes).toBe(2);
    expect(await other.lease('sweep')).toMatchObject({ job: 'sweep' });
    expect(await node.flush()).toBe(sequence);
  });
});

describe('a database that goes away', () => {
  it('is written to again when it is back, and nothing acknowledged is lost', async () => {
    await using database = await startPostgres();
    const schema = newSchema();
    const node = await openNode(database, schema);
    const acknowledged: string[] = [];
    let isDone = false;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; !isDone; n++) {
        const key = `${writer.toString()}-${n.toString()}`;
        await put(node, key).then(
          () => acknowledged.push(key),
          () => undefined,
        );
      }
    });
    await expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThan(20);
    await database.kill();
    const before = acknowledged.length;
    await database.start();
    await expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    isDone = true;
    await Promise.all(writers);
    const entries = await logOf(node);
    expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, at) => BigInt(at + 1)));
    const puts = entries.filter(({ kind }) => kind === 'put').map(({ key }) => key);
    expect(acknowledged.filter((key) => !puts.includes(key))).toEqual([]);
    expect(new Set(puts).size).toBe(puts.length);
    await node.close();
  });

  it('is an error that says so, and never the password', async () => {
    const database = await startPostgres();
    const node = await openNode(database, newSchema());
    await put(node, 'a');
    await database.kill();
    const place = `the database 'molten' at 127.0.0.1:${database.port.toString()}, as 'molten'`;
    const errors = await Promise.all(
      [node.get('things', ['a']), put(node, 'b'), openNode(database, newSchema())].map((work) =>
        work.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ reason: 'ENGINE_UNAVAILABLE' });
      expect(inspect(error, { depth: 9 })).not.toContain(database.password);
    }
    const [read, , start] = errors.map((error) => (error as Error).message);
    expect(read).not.toContain('127.0.0.1');
    expect(start).toBe(
      `${place}: cannot be reached; check that it runs, the address, the network and TLS (connect ECONNREFUSED 127.0.0.1:${database.port.toString()})`,
    );
    await expect.poll(() => node.health().state, { timeout: 20_000 }).toBe('readOnly');
    const { detail, lagMs = 0 } = node.health();
    expect(detail).toMatch(
      new RegExp(`^${place}: was last heard of \\d+ s ago; from 3 s on nobody is let in$`),
    );
    expect(lagMs).toBeGreaterThan(3000);
    await node.close();
    await database.start();
    const url = database.url(newSchema());
    const wrong = openPostgresStore({ url, password: 'a wrong one', clock: systemClock });
    expect(await failureOf(wrong)).toBe(
      `ENGINE_UNAVAILABLE: the database 'molten' at 127.0.0.1:${database.port.toString()}, as 'molten': the database refuses the user; check user, password, database and grants`,
    );
    await database[Symbol.asyncDispose]();
  });
});

describe('reads that find no connection free', () => {
  it('are refused after a bounded wait, and at once when too many wait', async () => {
    await using database = await startPostgres({ fsync: 'off' });
    const schema = newSchema();
    const { password } = database;
    const node = await openPostgresStore({
      ...{ url: database.url(schema), password, clock: systemClock, connections: 1 },
    });
    await put(node, 'a');
    // Whoever reads this table waits as long as somebody has it.
    const held = database.run(
      schema,
      'BEGIN',
      'LOCK TABLE idx IN ACCESS EXCLUSIVE MODE',
      'SELECT pg_sleep(8)',
      'COMMIT',
    );
    const locked = `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted`;
    await expect.poll(() => database.run(schema, locked)).not.toEqual([]);
    const reads = Array.from({ length: 1002 }, () => failureOf(node.indexes('things')));
    const outcomes = await Promise.all(reads);
    expect(outcomes[0]).toBeUndefined();
    expect(outcomes[1]).toBe(
      'OVERLOADED: this call waited 5000 ms for one of 1 connections to the database (--storage-connections); try again later',
    );
    expect(outcomes.at(-1)).toBe(
      'OVERLOADED: 1000 calls wait for one of 1 connections to the database (--storage-connections); try again later',
    );
    await held;
    expect(await failureOf(node.indexes('things'))).toBeUndefined();
    await node.close();
  });
});
