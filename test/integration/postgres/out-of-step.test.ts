/**
 * Nodes that do not see what others do: nobody wakes them up, their tailer alone is held back, their database
 * is away, was changed for another one, or has forgotten what they have not seen.
 */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { WatchEndReason, WatchEventKind } from '../../../gen/molten/v1/watch_pb.ts';
import { createMoltenClient, toBody, toMoltenError } from '../../../src/client/index.ts';
import { delay } from '../../../src/platform/timers.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { changesOf, recordWatch, watchClient, type RecordedWatch } from '../../support/watching.ts';
import { delegate, makeUser, tryLogin, whoAmI } from '../access/team.ts';
import { newSchema, openNode, put } from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** A server over a schema; `port` leads to the database by another way. */
function startNode(schema: string, port?: number, own = database): Promise<TestServer> {
  const storage = { url: own.url(schema, port), password: own.password, connections: 4 };
  return startTestServer({ storage, writeMode: 'sync' });
}

async function watchThings({ url }: TestServer, token: string): Promise<RecordedWatch> {
  return await recordWatch(watchClient(url, token), { targets: [{ collection: 'things' }] });
}

async function readiness({ url }: TestServer): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}

async function health({ url }: TestServer): Promise<Status> {
  const client = createClient(Health, createGrpcTransport({ baseUrl: url }));
  return (await client.check({ service: 'molten.v1.DocumentService' })).status;
}

/** What a balancer that watches the health of a node is told. */
async function probe({ url }: TestServer, told: Status[], signal: AbortSignal): Promise<void> {
  const client = createClient(Health, createGrpcTransport({ baseUrl: url }));
  try {
    for await (const { status } of client.watch({ service: '' }, { signal })) told.push(status);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function endOf({ messages }: RecordedWatch): WatchEndReason | undefined {
  return messages.find(({ kind }) => kind === WatchEventKind.END)?.end;
}

describe('a commit that nobody is woken up for', () => {
  it('is told to those who watch', async () => {
    const schema = newSchema();
    await using server = await startNode(schema);
    const writer = await openNode(database, schema);
    await put(writer, 'a');
    await writer.close();
    const watch = await watchThings(server, await server.rootToken());
    await commitSilently(schema, 'seq = seq + 1, durable_seq = seq + 1');
    const told = await watch.until((messages) => changesOf(messages).length > 0);
    expect(changesOf(told).map(({ key }) => key)).toEqual(['b']);
    await watch[Symbol.asyncDispose]();
  });

  it('is on disk before a watch begins behind it', async () => {
    const schema = newSchema();
    await using server = await startNode(schema);
    const writer = await openNode(database, schema);
    await put(writer, 'a');
    await writer.close();
    const token = await server.rootToken();
    await commitSilently(schema, 'seq = seq + 1');
    const watch = await watchThings(server, token);
    const [clock] = await database.run(schema, 'SELECT durable_seq AS durable FROM clock');
    const { durable } = clock as { readonly durable: string };
    expect(watch.messages[0]?.sequence).toBeLessThanOrEqual(BigInt(durable));
    await watch[Symbol.asyncDispose]();
  });
});

describe('a node whose tailer alone is held back', () => {
  it('lets nobody in, ends its streams, and misses and doubles nothing afterwards', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using other = await startNode(schema);
    await using held = await startNode(schema, relay.port);
    const writer = createMoltenClient({ url: other.url, token: await tokenOf(other) });
    const write = async (n: number): Promise<void> => {
      const document = { collection: 'things', key: `k${String(n)}`, body: toBody({ n }) };
      await writer.documents.setDocument(document);
    };
    await write(0);
    const token = await held.rootToken();
    const made = await delegate(other, await other.rootToken(), ['read:*:*']);
    await expect.poll(() => whoAmI(held, made.token)).toBe('taken');
    const watch = await watchThings(held, made.token);
    const told: number[] = [];
    const leaving = new AbortController();
    const follower = createMoltenClient({ url: held.url, token: () => token });
    const start = { case: 'afterSequence', value: 0n } as const;
    const request = { targets: [{ collection: 'things' }], start };
    const following = (async () => {
      for await (const message of follower.watch(request, { signal: leaving.signal })) {
        told.push(...message.changes.map(({ key }) => Number(key.slice(1))));
        if (told.includes(20)) return;
      }
    })();
    await expect.poll(() => told).toEqual([0]);
    const probed: Status[] = [];
    const probing = probe(held, probed, leaving.signal);
    await expect.poll(() => probed).toEqual([Status.SERVING]);
    const audited = endOfStream(follower.audit.streamAuditRecords({}));

    relay.holdTailers();
    const kind = 'REVOCATION_KIND_TOKEN';
    const { tokenId: id } = made;
    expect((await other.asRoot('POST', '/v1/tokens:revoke', { kind, id })).status).toBe(200);
    expect((await watch.ended())?.reason).toBe('ENGINE_UNAVAILABLE');
    expect(endOf(watch)).toBe(WatchEndReason.OUT_OF_STEP);
    expect(await audited).toBe('ENGINE_UNAVAILABLE');
    expect([await readiness(held), await health(held)]).toEqual([503, Status.NOT_SERVING]);
    expect(await whoAmI(held, token)).toBe('ENGINE_UNAVAILABLE');
    expect(await whoAmI(held, made.token)).toBe('ENGINE_UNAVAILABLE');
    expect([await readiness(other), await health(other)]).toEqual([200, Status.SERVING]);
    await expect.poll(() => probed).toEqual([Status.SERVING, Status.NOT_SERVING]);
    for (let n = 1; n <= 20; n++) await write(n);
    const before = [...told];
    expect(before).toEqual([0]);

    relay.release();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(200);
    await expect.poll(() => probed).toHaveLength(3);
    expect([...probed, await health(held)].slice(2)).toEqual([Status.SERVING, Status.SERVING]);
    expect(await whoAmI(held, made.token)).toBe('CREDENTIAL_REVOKED');
    await following;
    expect(told).toEqual(Array.from({ length: 21 }, (_, n) => n));
    leaving.abort();
    await probing;
  });

  it('stays, as soon as it says that it is back', async () => {
    await using relay = await startCommitRelay(database.port);
    await using held = await startNode(newSchema(), relay.port);
    relay.holdTailers();
    const poll = { timeout: 20_000, interval: 5 };
    await expect.poll(() => readiness(held), poll).toBe(503);
    // The look that is held up began a moment less than three seconds ago.
    relay.release();
    let askedMs = 0;
    const isReady = async (): Promise<number> => {
      askedMs = performance.now();
      return await readiness(held);
    };
    await expect.poll(isReady, poll).toBe(200);
    relay.holdTailers();
    const later = new Set<number>();
    for (let now = 200; performance.now() < askedMs + 1000; now = await readiness(held)) {
      later.add(now);
      await delay(10);
    }
    expect(later).toEqual(new Set([200]));
  });

  it('reads again what others changed, when the log does not have it any more', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using other = await startNode(schema);
    await using held = await startNode(schema, relay.port);
    await makeUser(other, 'ada');
    await makeUser(other, 'bob');
    const found = async (name: string): Promise<number> =>
      (await held.asRoot('GET', `/v1/users/${name}`)).status;
    await expect.poll(() => found('bob'), { timeout: 10_000 }).toBe(200);
    expect(await found('ada')).toBe(200);
    relay.holdTailers();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(503);
    expect((await other.asRoot('DELETE', '/v1/users/ada')).status).toBe(200);
    await makeUser(other, 'cyd');
    await forget(schema);
    relay.release();
    await expect.poll(() => readiness(held), { timeout: 20_000 }).toBe(200);
    expect([await found('ada'), await found('bob'), await found('cyd')]).toEqual([404, 200, 200]);
    expect(await tryLogin(held, 'cyd')).toMatchObject({ status: 200 });
  });
});

describe('a database that is away', () => {
  it('makes nodes not ready and ends their streams, until it is back', async () => {
    await using own = await startPostgres({ fsync: 'off' });
    await using server = await startNode(newSchema(), undefined, own);
    const token = await server.rootToken();
    const watch = await watchThings(server, token);
    const { status } = await server.asRoot('GET', '/v1/status');
    expect([status, await readiness(server)]).toEqual([200, 200]);
    await own.kill();
    await expect.poll(() => readiness(server), { timeout: 20_000 }).toBe(503);
    expect((await watch.ended())?.reason).toBe('ENGINE_UNAVAILABLE');
    expect(endOf(watch)).toBe(WatchEndReason.OUT_OF_STEP);
    await own.start();
    await expect.poll(() => readiness(server), { timeout: 20_000 }).toBe(200);
    expect(await whoAmI(server, token)).toBe('taken');
    const again = await watchThings(server, token);
    await again[Symbol.asyncDispose]();
  });
});

describe('a database that begins a new timeline', () => {
  it('is served by nodes that are started again, and by no other', async () => {
    const schema = newSchema();
    await using server = await startNode(schema);
    const token = await server.rootToken();
    await server.asRoot('PUT', '/v1/collections/things/documents/a', { body: { fields: {} } });
    const watch = await watchThings(server, token);
    const resumeToken = watch.messages[0]?.resumeToken ?? '';
    // As after a failover to a standby that lacks the last commits.
    await database.run(schema, 'UPDATE clock SET epoch = gen_random_uuid()::text');
    await expect.poll(() => readiness(server), { timeout: 20_000 }).toBe(503);
    expect((await watch.ended())?.reason).toBe('ENGINE_UNAVAILABLE');
    expect(await whoAmI(server, token)).toBe('ENGINE_UNAVAILABLE');
    await using next = await startNode(schema);
    const resumed = recordWatch(watchClient(next.url, await next.rootToken()), {
      ...{
        targets: [{ collection: 'things' }],
        start: { case: 'resumeToken', value: resumeToken },
      },
    });
    await expect(resumed).rejects.toMatchObject({ reason: 'SEQUENCE_COMPACTED' });
    expect(await readiness(server)).toBe(503);
  });

  it('is told by nodes that know the one before', async () => {
    const schema = newSchema();
    const node = await openNode(database, schema);
    await put(node, 'a');
    const { epoch, sequence } = await node.head();
    await database.run(
      schema,
      'UPDATE clock SET epoch = gen_random_uuid()::text, seq = seq - 1, durable_seq = seq - 1',
    );
    // By the very statement that reads, also before the node has looked.
    await expect(node.readLog({ epoch, sequence }, { limit: 1 })).rejects.toMatchObject({
      reason: expect.stringMatching(/^(SEQUENCE_COMPACTED|ENGINE_UNAVAILABLE)$/) as string,
    });
    await expect.poll(() => node.health().state, { timeout: 20_000 }).toBe('readOnly');
    expect(node.health().detail).toMatch(/: the database has begun a new timeline of the log$/);
    await expect(node.get('things', ['a'])).rejects.toThrow(
      'the database has begun a new timeline of the log; restart this node',
    );
    await node.close();
  });

  it('is needed where commits are gone that were on disk', async () => {
    const schema = newSchema();
    const node = await openNode(database, schema);
    await put(node, 'a');
    await put(node, 'b');
    await database.run(schema, 'UPDATE clock SET seq = 1, durable_seq = 1');
    await expect.poll(() => node.health().state, { timeout: 20_000 }).toBe('readOnly');
    await expect(put(node, 'c')).rejects.toThrow(
      'begin a new timeline of the log first (operating/postgres.md); restart this node',
    );
    await node.close();
  });
});

/** What a stream fails with. */
async function endOfStream(messages: AsyncIterable<unknown>): Promise<string> {
  try {
    for await (const _ of messages);
    return 'nothing';
  } catch (error) {
    return toMoltenError(error).reason;
  }
}

/** Puts the document `b` of `things` behind the back of all nodes. */
async function commitSilently(schema: string, clock: string): Promise<void> {
  await database.run(
    schema,
    'BEGIN',
    `UPDATE clock SET ${clock}`,
    `INSERT INTO ver (seq, ts, first, kind, collection, key, version, previous, created_seq,
       created_at, cause, body)
     SELECT k.seq, k.ts, k.seq, 1, c.id, 'b', 1, 0, k.seq, k.ts, 0, '{}'
     FROM clock k, collection c WHERE c.name = 'things'`,
    'COMMIT',
  );
}

/** Lets go of all of the past, by a node of its own. */
async function forget(schema: string): Promise<void> {
  const node = await openNode(database, schema);
  const { sequence } = await node.head();
  await node.compact(toSequence(sequence - 1n));
  const left = 'SELECT 1 FROM clock WHERE pruned_to < floor';
  while ((await database.run(schema, left)).length > 0) await delay(20);
  await node.close();
}

async function tokenOf(server: TestServer): Promise<() => string> {
  const token = await server.rootToken();
  return () => token;
}
