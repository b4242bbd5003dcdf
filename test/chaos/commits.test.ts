/**
 * A database, or a node, that is killed (SIGKILL) exactly at a COMMIT: when it was sent and the database does not have
 * it, or when the database has done it and nobody was told. Whatever was acknowledged is there, nothing is there twice,
 * and a request id tells of what was not acknowledged, on every node.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { LogEntry } from '../../src/storage/types.ts';
import { logOf, newSchema, openNode } from '../integration/postgres/scene.ts';
import { startCommitRelay, type CommitRelay } from '../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { requestsTo, type TestResponse } from '../support/requests.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { SECRETS } from '../support/served.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const MOMENTS = [
  ['before the database has it', 'before'],
  ['after the database has done it', 'after'],
] as const;
/** For as long as a database may take to start. */
const BACK = { interval: 250, timeout: 60_000 };
/** Writes of each node beside the one that is cut off. */
const BESIDE = 4;
const CUT = 'the-one-that-is-cut-off';
const STORED = `SELECT 1 FROM ver WHERE key = '${CUT}'`;
const WAITING = `SELECT pid FROM pg_stat_activity
  WHERE application_name = 'moltendb' AND wait_event_type = 'Lock'`;

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** One write, by a request that is the same as often as it is made. */
interface Write {
  readonly key: string;
  readonly requestId?: string;
}

/** A node in a process of its own. */
interface Node extends AsyncDisposable {
  readonly server: ServeProcess;
  /** Asks once. */
  write(write: Write): Promise<TestResponse>;
}

/** `port` leads to the database by another way. */
async function startNode(schema: string, port?: number): Promise<Node> {
  const directory = createTemporaryDirectory();
  const server = await startServe({
    args: [
      ...['--storage-url', database.url(schema, port), '--port', '0', '--log-level', 'silent'],
      ...['--db-path', directory.path, '--write-mode', 'sync'],
    ],
    variables: { ...SECRETS, MOLTENDB_STORAGE_PASSWORD: database.password },
  });
  const ask = requestsTo(server.url);
  const login = { username: 'root', password: SECRETS['MOLTENDB_ROOT_PASSWORD'] };
  const session = await ask('POST', '/v1/sessions', { body: login });
  const token = String(session.body.token);
  return {
    server,
    write({ key, ...request }) {
      const body = { body: { fields: { key } }, ...request };
      return ask('PUT', `/v1/collections/c/documents/${key}`, { token, body });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** A write, and what a node first answered. */
interface Asked {
  readonly write: Write;
  readonly answer: TestResponse;
}

async function ask(node: Node, write: Write): Promise<Asked> {
  return { write, answer: await node.write(write) };
}

/** Some writes at once, each with a request id. */
function askAll(node: Node, name: string): readonly Promise<Asked>[] {
  return Array.from({ length: BESIDE }, (_, at) => {
    const key = `${name}${String(at)}`;
    return ask(node, { key, requestId: `of-${key}` });
  });
}

/** Where a write is in the log, and as what. */
interface Place {
  readonly sequence: string;
  readonly version: string;
}

/** What has become of a write: told at first, or told to all who ask again; undefined when nobody can. */
async function placeOf(
  { write, answer }: Asked,
  nodes: readonly Node[],
): Promise<Place | undefined> {
  const first = answer.status === 200 ? placeIn(answer) : undefined;
  if (write.requestId === undefined) return first;
  const told = await Promise.all(nodes.map((node) => taken(node, write)));
  expect(told).toEqual(nodes.map(() => first ?? told[0]));
  return told[0];
}

/** A write that is asked for until it is taken. */
async function taken(node: Node, write: Write): Promise<Place> {
  let answer = await node.write(write);
  const status = async (): Promise<number> => {
    if (answer.status !== 200) answer = await node.write(write);
    return answer.status;
  };
  await expect.poll(status, BACK).toBe(200);
  return placeIn(answer);
}

function placeIn({ body }: TestResponse): Place {
  const { sequence, version } = body.result as Place;
  return { sequence, version };
}

/** What is done at the COMMIT of the write that is to be cut off, before its connection ends. */
function cutAt<T>(
  relay: CommitRelay,
  when: 'before' | 'after',
  work: () => Promise<T>,
): Promise<T> {
  const cutting = new Promise<T>((resolve) => {
    relay.atCut = () => {
      const done = work();
      resolve(done);
      return done.catch(() => undefined);
    };
  });
  relay.cutOf = CUT;
  relay.cutNext = when;
  return cutting;
}

/** The puts of documents; the log has no gap. */
async function putsOf(schema: string): Promise<readonly LogEntry[]> {
  await using reader = await openNode(database, schema);
  const log = await logOf(reader);
  expect(log.map(({ sequence }) => sequence)).toEqual(log.map((_, at) => BigInt(at + 1)));
  return log.filter(({ collection, kind }) => collection === 'c' && kind === 'put');
}

function placesOf(puts: readonly LogEntry[], key: string): readonly Place[] {
  return puts
    .filter((put) => put.key === key)
    .map(({ sequence, version }) => ({ sequence: String(sequence), version: String(version) }));
}

const CASES = MOMENTS.flatMap(([moment, when]) => [
  [`${moment}, asked with a request id`, { when, cut: { key: CUT, requestId: 'once' } }] as const,
  [`${moment}, asked without one`, { when, cut: { key: CUT } }] as const,
]);

describe('a database that is killed at a COMMIT', () => {
  it.each(CASES)('%s, has each write once', async (_, { when, cut }) => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using one = await startNode(schema, relay.port);
    await using other = await startNode(schema);
    const before = await Promise.all([...askAll(one, 'a'), ...askAll(other, 'b')]);
    expect(before.map(({ answer }) => answer.status)).toEqual(before.map(() => 200));

    let beside: readonly Promise<Asked>[] = [];
    const cutting = cutAt(relay, when, async () => {
      const stored = await database.run(schema, STORED);
      beside = [...askAll(one, 'c'), ...askAll(other, 'd')];
      await database.kill();
      return stored;
    });
    const first = ask(one, cut);
    expect(await cutting).toHaveLength(when === 'before' ? 0 : 1);
    await database.start();

    const asked = [...before, await first, ...(await Promise.all(beside))];
    const failed = asked.filter(({ answer }) => answer.status !== 200);
    expect(failed.map(({ answer }) => String(answer.body.reason))).toEqual(
      failed.map(() => 'ENGINE_UNAVAILABLE'),
    );
    const places = await Promise.all(asked.map((write) => placeOf(write, [one, other])));
    const puts = await putsOf(schema);
    for (const [at, place] of places.entries()) {
      const found = placesOf(puts, asked[at]?.write.key ?? '');
      // Of what nobody was told and nobody can ask it is only sure that it was not done twice.
      expect(found).toEqual(place === undefined ? found.slice(0, 1) : [place]);
    }
  });
});

describe('a node that is killed at a COMMIT', () => {
  it.each(MOMENTS)('%s, has done it once, whoever is asked again', async (_, when) => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using one = await startNode(schema, relay.port);
    await using other = await startNode(schema);
    const cut = { key: CUT, requestId: 'once' };
    expect((await one.write({ key: 'a' })).status).toBe(200);

    let meanwhile: Promise<TestResponse> | undefined;
    const cutting = cutAt(relay, when, async () => {
      const stored = await database.run(schema, STORED);
      // As of a caller who does not wait for an answer.
      meanwhile = other.write(cut);
      const waiting = (): Promise<readonly object[]> => database.run(schema, WAITING);
      // So may work of the node's own, behind the write or before it.
      if (when === 'before') await expect.poll(waiting, BACK).not.toHaveLength(0);
      await one.server.stop('SIGKILL');
      return stored;
    });
    const first = one.write(cut).catch(() => 'no answer');
    expect(await cutting).toHaveLength(when === 'before' ? 0 : 1);
    expect(await first).toBe('no answer');
    const answer = await meanwhile;
    expect(answer?.status).toBe(200);
    expect(answer?.body.commit.replayed).toBe(when === 'after');
    await using third = await startNode(schema);
    const places = await Promise.all([other, third].map((node) => taken(node, cut)));
    expect(placesOf(await putsOf(schema), CUT)).toEqual([places[0]]);
    expect(places).toEqual(places.map(() => answer && placeIn(answer)));
  });
});
