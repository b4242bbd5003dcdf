/**
 * The same durable writes and reads by one server on the embedded engine and by 1, 2 and 4 on one PostgreSQL,
 * each a process; what they take of memory, disk and WAL; then how long it takes until a write by one server
 * is with those who watch on another one, and on the same. The database has fsync on.
 */
import { join } from 'node:path';

import { createMoltenClient, toBody } from '../../src/client/index.ts';
import { startPostgres } from '../support/postgres.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { measureCalls, report, type Measured } from './measure.ts';
import { measureWatchLatency, type WatchedServer, type WatchLatency } from './watch-latency.ts';

const WRITERS = [1, 64, 512];
const READERS = 64;
const NODES = [1, 2, 4];
const WATCHERS = [1, 100];
const MIB = 1024 * 1024;
const fields = { n: 5, name: 'a document', text: 'x'.repeat(300) };

using directory = createTemporaryDirectory();
await using database = await startPostgres({ max_connections: '200' });
const { password } = database;

/** A server in a process of its own. */
interface Node extends AsyncDisposable {
  readonly server: WatchedServer;
}

let started = 0;

/** Over a schema of the database; without one, over a directory. */
async function startNode(schema?: string): Promise<Node> {
  const dbPath = join(directory.path, `node-${String(++started)}`);
  const storage = schema === undefined ? [] : ['--storage-url', database.url(schema)];
  const serve: ServeProcess = await startServe({
    args: [
      ...['--db-path', dbPath, '--port', '0', '--log-level', 'silent', '--disable-encryption'],
      ...storage,
    ],
    variables: {
      ...(schema === undefined ? {} : { MOLTENDB_STORAGE_PASSWORD: password }),
      MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
      MOLTENDB_ROOT_PASSWORD: ROOT.password,
      MOLTENDB_MAX_CONNECTIONS_PER_ADDRESS: '10000',
    },
  });
  const { token } = await createMoltenClient({ url: serve.url }).auth.login({
    ...{ ...ROOT, ttl: { seconds: 3600n } },
  });
  const client = createMoltenClient({ url: serve.url, token: () => token });
  return {
    server: { url: serve.url, token, client },
    [Symbol.asyncDispose]: () => serve[Symbol.asyncDispose](),
  };
}

/** One measurement of each workload, under the name of what it ran on. */
const workloads = new Map<string, Measured[]>();

/** Returns how many documents were written. */
async function measureNodes(name: string, nodes: readonly Node[]): Promise<number> {
  const add = (workload: string, measured: Measured): void => {
    workloads.set(workload, [...(workloads.get(workload) ?? []), measured]);
  };
  let written = 0;
  const put = async (client: number, at: number): Promise<void> => {
    await nodes[client % nodes.length]?.server.client.documents.setDocument({
      ...{ collection: 'bench', key: `${String(client)}-${String(at)}`, body: toBody(fields) },
    });
    written += 1;
  };
  for (const clients of WRITERS) {
    add(`${String(clients)} writers`, await measureCalls(name, put, { clients }));
  }
  const get = async (client: number, at: number): Promise<void> => {
    await nodes[client % nodes.length]?.server.client.documents.getDocument({
      ...{ collection: 'bench', key: `${String(client)}-${String(at % 5)}` },
    });
  };
  const clients = READERS;
  add(`${String(clients)} readers by key`, await measureCalls(name, get, { clients }));
  return written;
}

/** What a node holds in memory after it, the most of them, in MiB. */
async function residentMiB(nodes: readonly Node[]): Promise<number> {
  const stats = await Promise.all(nodes.map(({ server }) => server.client.admin.getStats({})));
  return Math.round(
    Math.max(...stats.map(({ process: figures }) => Number(figures?.residentBytes ?? 0))) / MIB,
  );
}

interface Sizes {
  readonly wal: number;
  readonly tables: number;
}

/** How much WAL there has been, and what the tables of a schema take, in bytes. */
async function sizesOf(schema: string): Promise<Sizes> {
  const [row] = await database.run(
    schema,
    `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 AS wal, coalesce(sum(
       pg_total_relation_size(quote_ident(schemaname) || '.' || quote_ident(tablename))), 0)::float8 AS tables
     FROM pg_tables WHERE schemaname = '${schema}'`,
  );
  return row as Sizes;
}

async function measurePostgres(count: number): Promise<object> {
  const schema = `bench_${String(count)}`;
  await using opened = new AsyncDisposableStack();
  const nodes: Node[] = [];
  for (let at = 0; at < count; at++) nodes.push(opened.use(await startNode(schema)));
  const before = await sizesOf(schema);
  const written = await measureNodes(`PostgreSQL, nodes: ${String(count)}`, nodes);
  const after = await sizesOf(schema);
  return {
    ...{ nodes: count, written, residentMiB: await residentMiB(nodes) },
    walBytesPerWrite: Math.round((after.wal - before.wal) / written),
    tableBytesPerDocument: Math.round((after.tables - before.tables) / written),
  };
}

async function measureAcross(): Promise<object[]> {
  await using first = await startNode('watched');
  await using second = await startNode('watched');
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

{
  await using embedded = await startNode();
  await measureNodes('embedded', [embedded]);
}
const sizes: object[] = [];
for (const count of NODES) sizes.push(await measurePostgres(count));
for (const [workload, measured] of workloads) {
  process.stderr.write(`${workload}\n`);
  report(`postgres, ${workload}`, 'embedded', measured);
}
process.stderr.write(`${JSON.stringify(sizes, undefined, 1)}\n`);
const events = await measureAcross();
process.stderr.write(`${JSON.stringify(events, undefined, 1)}\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'postgres, sizes and from a write to its event', sizes, events })}\n`,
);
