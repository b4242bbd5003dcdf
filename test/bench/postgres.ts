/**
 * The same durable writes and reads on the embedded engine and on PostgreSQL, by 1, 2 and 4 nodes that share
 * it, all in this process; then how long it takes until a write by one server is with those who watch on
 * another one, and on the same. The database has fsync on.
 */
import { join } from 'node:path';

import { createMoltenClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { startPostgres } from '../support/postgres.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { measureCalls, report, type Measured } from './measure.ts';
import { measureWatchLatency, type WatchedServer, type WatchLatency } from './watch-latency.ts';

const WRITERS = [1, 64, 512];
const READERS = 16;
const NODES = [1, 2, 4];
const WATCHERS = [1, 100];
const text = JSON.stringify({ n: 5, name: 'a document', text: 'x'.repeat(300) });

using directory = createTemporaryDirectory();
await using database = await startPostgres({ max_connections: '200' });
const { password } = database;

/** One measurement of each workload, under the name of what it ran on. */
const workloads = new Map<string, Measured[]>();

async function measureNodes(name: string, nodes: readonly StorageEngine[]): Promise<void> {
  const add = (workload: string, measured: Measured): void => {
    workloads.set(workload, [...(workloads.get(workload) ?? []), measured]);
  };
  const put = async (client: number, at: number): Promise<void> => {
    await nodes[client % nodes.length]?.transact({ durability: 'sync' }, (transaction) => {
      const key = `${String(client)}-${String(at)}`;
      transaction.put({ collection: 'bench', key, body: text });
    });
  };
  for (const clients of WRITERS) {
    add(`${String(clients)} writers`, await measureCalls(name, put, { clients }));
  }
  const get = async (client: number, at: number): Promise<void> => {
    await nodes[client % nodes.length]?.get('bench', [`${String(client)}-${String(at % 50)}`]);
  };
  const clients = READERS;
  add(`${String(clients)} readers by key`, await measureCalls(name, get, { clients }));
  await Promise.all(nodes.map((node) => node.close()));
}

async function startNode(at: number): Promise<{ serve: ServeProcess; server: WatchedServer }> {
  const dbPath = join(directory.path, `node-${String(at)}`);
  const serve = await startServe({
    args: [
      ...['--db-path', dbPath, '--port', '0', '--log-level', 'silent', '--disable-encryption'],
      ...['--storage-url', database.url('watched')],
    ],
    variables: {
      MOLTENDB_STORAGE_PASSWORD: password,
      MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
      MOLTENDB_ROOT_PASSWORD: ROOT.password,
    },
  });
  const { token } = await createMoltenClient({ url: serve.url }).auth.login(ROOT);
  const client = createMoltenClient({ url: serve.url, token: () => token });
  return { serve, server: { url: serve.url, token, client } };
}

async function measureAcross(): Promise<object[]> {
  const [first, second] = [await startNode(1), await startNode(2)];
  await using _first = first.serve;
  await using _second = second.serve;
  const rows: object[] = [];
  for (const watchers of WATCHERS) {
    const measure = (writer: WatchedServer): Promise<WatchLatency> =>
      measureWatchLatency({
        ...{ watchers, watched: first.server, writer: writer.client, events: 200, perSecond: 20 },
      });
    const same = await measure(first.server);
    const other = await measure(second.server);
    const ratio = Math.round((other.p99Ms / same.p99Ms) * 100) / 100;
    rows.push({ watchers, same, other, ratio });
  }
  return rows;
}

await measureNodes('embedded', [
  await openEmbeddedStore({ directory: join(directory.path, 'store'), clock: systemClock }),
]);
for (const count of NODES) {
  const url = database.url(`bench_${String(count)}`);
  const nodes: StorageEngine[] = [];
  for (let at = 0; at < count; at++) {
    nodes.push(await openPostgresStore({ url, password, clock: systemClock }));
  }
  await measureNodes(`PostgreSQL, nodes: ${String(count)}`, nodes);
}
for (const [workload, measured] of workloads) {
  process.stderr.write(`${workload}\n`);
  report(`postgres, ${workload}`, 'embedded', measured);
}
const events = await measureAcross();
process.stderr.write(`${JSON.stringify(events, undefined, 1)}\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'postgres, from a write to its event', events })}\n`,
);
