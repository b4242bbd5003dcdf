/** Watches on several nodes of one database: what they cost it, and what they tell through whatever happens. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DocumentEncoding } from '../../../gen/molten/v1/documents_pb.ts';
import type { WatchResponse } from '../../../gen/molten/v1/watch_pb.ts';
import { createMoltenClient, toBody, type MoltenClient } from '../../../src/client/index.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { violationsOf, type AcknowledgedWrite } from '../../support/watch-properties.ts';
import { changesOf, recordWatch, watchClient, type RecordedWatch } from '../../support/watching.ts';
import { newSchema, writeSome } from './scene.ts';

const CONNECTIONS = 4;
/** For tests in which nodes wait for a database that does not answer. */
const AWAY_MS = 120_000;

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off', max_connections: '200' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** A server over a schema; `port` leads to the database by another way. */
function startNode(schema: string, port?: number): Promise<TestServer> {
  const { password } = database;
  const storage = { url: database.url(schema, port), password, connections: CONNECTIONS };
  return startTestServer({ storage, writeMode: 'sync' });
}

function clientOf({ url }: TestServer, token: string): MoltenClient {
  return createMoltenClient({ url, token: () => token });
}

async function set(client: MoltenClient, key: string): Promise<bigint> {
  const write = { collection: 'c', key, body: toBody({ n: 1 }) };
  return (await client.documents.setDocument(write)).result?.sequence ?? 0n;
}

function watchNow({ url }: TestServer, token: string): Promise<RecordedWatch> {
  return recordWatch(watchClient(url, token), { targets: [{ collection: 'c' }] });
}

/** Until a watch has been told of a key; all keys that it was told of. */
async function keysUntil(watch: RecordedWatch, last: string): Promise<readonly string[]> {
  const keys = (messages: readonly WatchResponse[]): readonly string[] =>
    changesOf(messages).map(({ key }) => key);
  return keys(await watch.until((messages) => keys(messages).includes(last)));
}

describe('many watches of one node', () => {
  it('take no connections of their own, and read the log once for all', async () => {
    await using relay = await startCommitRelay(database.port);
    await using server = await startNode(newSchema(), relay.port);
    const token = await server.rootToken();
    const client = clientOf(server, token);
    await set(client, 'first');
    const watches: RecordedWatch[] = [];
    const readsOf = async (round: string): Promise<number> => {
      const before = relay.logReads;
      for (let n = 0; n < 20; n++) await set(client, `${round}${String(n)}`);
      const told = await Promise.all(watches.map((watch) => keysUntil(watch, `${round}19`)));
      expect(told.every((keys) => keys.filter((key) => key.startsWith(round)).length === 20)).toBe(
        true,
      );
      return relay.logReads - before;
    };
    watches.push(await watchNow(server, token));
    const byOne = await readsOf('one-');
    expect(byOne).toBeGreaterThan(0);
    while (watches.length < 50) watches.push(await watchNow(server, token));
    // How many entries come at once is up to chance; fifty times as many reads are not.
    expect(await readsOf('many-')).toBeLessThan(5 * byOne + 20);
    const open = await database.run(
      'pg_catalog',
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'moltendb'",
    );
    // One follows the log, one commits, and the rest are those that calls share.
    expect(open.length).toBeLessThanOrEqual(CONNECTIONS + 2);
    for (const watch of watches) watch.cancel();
  });
});

describe('a watch that goes from node to node', () => {
  it('is resumed on the next by the token of the one before, without a gap or a double', async () => {
    const schema = newSchema();
    const servers = [await startNode(schema), await startNode(schema), await startNode(schema)];
    const token = await servers[0]!.rootToken();
    const written: AcknowledgedWrite[] = [];
    let isDone = false;
    const writing = servers.map(async (server, at) => {
      for (let seed = at; !isDone; seed += servers.length) {
        await writeSome(clientOf(server, token), seed, written);
      }
    });
    const told: WatchResponse[] = [];
    const hop = async (
      server: TestServer,
      isEnough: (messages: readonly WatchResponse[]) => boolean,
    ): Promise<void> => {
      const last = told.at(-1)?.resumeToken;
      const watch = await recordWatch(watchClient(server.url, token), {
        ...{ targets: [{ collection: 'c' }], includePrevious: true },
        encoding: DocumentEncoding.JSON,
        start:
          last === undefined
            ? { case: 'afterSequence', value: 0n }
            : { case: 'resumeToken', value: last },
      });
      told.push(...(await watch.until(isEnough)));
      watch.cancel();
    };
    for (let at = 0; at < 15; at++) {
      await hop(servers[at % servers.length]!, (all) => changesOf(all).length >= 5);
    }
    isDone = true;
    await Promise.all(writing);
    const last = written.reduce((most, { sequence }) => (sequence > most ? sequence : most), 0n);
    await hop(servers[1]!, (all) => (all.at(-1)?.sequence ?? 0n) >= last);
    expect(violationsOf(told, written)).toEqual([]);
    expect(written.length).toBeGreaterThan(75);
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  });
});

describe('a commit whose answer is lost while somebody watches', () => {
  it.each(['before', 'after'] as const)(
    'is told once by each node, when it is lost %s it was done',
    async (when) => {
      await using relay = await startCommitRelay(database.port);
      const schema = newSchema();
      await using one = await startNode(schema, relay.port);
      await using other = await startNode(schema);
      const token = await one.rootToken();
      const client = clientOf(one, token);
      await set(client, 'first');
      const watches = await Promise.all([one, other].map((server) => watchNow(server, token)));
      const keys: string[] = [];
      for (let n = 0; n < 5; n++) {
        relay.cutNext = when;
        keys.push(`k${String(n)}`);
        await set(client, `k${String(n)}`);
        expect(relay.cuts).toBe(n + 1);
      }
      await set(client, 'last');
      for (const watch of watches)
        expect(await keysUntil(watch, 'last')).toEqual([...keys, 'last']);
      for (const watch of watches) watch.cancel();
    },
  );

  it('is never told when it was not done', { timeout: AWAY_MS }, async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using one = await startNode(schema, relay.port);
    await using other = await startNode(schema);
    const token = await one.rootToken();
    const client = clientOf(one, token);
    await set(client, 'first');
    const watches = await Promise.all([one, other].map((server) => watchNow(server, token)));
    await set(client, 'before');
    for (const watch of watches) await keysUntil(watch, 'before');
    const lastToken = watches[0]!.messages.at(-1)?.resumeToken ?? '';
    // The database takes it back, and the node cannot find that out.
    relay.atCut = () => {
      relay.pause();
      return Promise.resolve();
    };
    relay.cutNext = 'before';
    const body = { body: { fields: { n: 1 } } };
    const answer = await one.request('PUT', '/v1/collections/c/documents/lost', { token, body });
    expect(answer).toMatchObject({ status: 503, body: { reason: 'ENGINE_UNAVAILABLE' } });
    relay.resume();
    const after = (): Promise<unknown> => set(client, 'after').catch(() => undefined);
    await expect.poll(after, { timeout: 20_000 }).toBeGreaterThan(0n);
    expect(await keysUntil(watches[1]!, 'after')).toEqual(['before', 'after']);
    // The node that was out of step had ended its streams.
    const start = { case: 'resumeToken', value: lastToken } as const;
    const resumed = await recordWatch(watchClient(one.url, token), {
      ...{ targets: [{ collection: 'c' }], start },
    });
    expect(await keysUntil(resumed, 'after')).toEqual(['after']);
    for (const watch of [...watches, resumed]) watch.cancel();
  });
});
