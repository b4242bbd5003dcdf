/**
 * The same durable writes and reads by one server on the embedded engine and by 1, 2 and 4 on one PostgreSQL,
 * each a process; what they take of memory, disk and WAL; then how long it takes until a write by one server
 * is with those who watch on another one, and on the same; and until what one revokes is refused by another. The
 * database has fsync on. `MOLTEN_PARTS` (load,events,revocations) and `MOLTEN_ROUNDS` (revocations of each kind, 200)
 * make it smaller.
 */
import { toBody } from '../../src/client/index.ts';
import { startPostgres } from '../support/postgres.ts';
import { measureCalls, report, type Measured } from './measure.ts';
import { createNodeStarter, type Node } from './nodes.ts';
import { measureRefusals, type RefusalLatency } from './revocations.ts';
import { measureWatchLatency, type WatchedServer, type WatchLatency } from './watch-latency.ts';

const WRITERS = [1, 64, 512];
const READERS = 64;
/** Nodes, and the stores that they are spread over. */
const NODES = [
  { count: 1, stores: 1 },
  { count: 2, stores: 1 },
  { count: 4, stores: 1 },
  { count: 2, stores: 2 },
];
const WATCHERS = [1, 100];
/** Beside which revocations are measured. */
const WRITERS_BESIDE = [0, 64];
const PARTS = (process.env['MOLTEN_PARTS'] ?? 'load,events,revocations').split(',');
const ROUNDS = Number(process.env['MOLTEN_ROUNDS'] ?? 200);
const MIB = 1024 * 1024;
const fields = { n: 5, name: 'a document', text: 'x'.repeat(300) };

await using database = await startPostgres({ max_connections: '200' });
using starter = createNodeStarter(database);

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

/** How much WAL there has been, and what the tables of schemas take whose names begin alike, in bytes. */
async function sizesOf(prefix: string): Promise<Sizes> {
  const [row] = await database.run(
    'public',
    `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 AS wal, coalesce(sum(
       pg_total_relation_size(quote_ident(schemaname) || '.' || quote_ident(tablename))), 0)::float8 AS tables
     FROM pg_tables WHERE starts_with(schemaname, '${prefix}')`,
  );
  return row as Sizes;
}

async function measurePostgres({ count, stores }: (typeof NODES)[number]): Promise<object> {
  const prefix = `bench_${String(count)}_${String(stores)}_`;
  await using opened = new AsyncDisposableStack();
  const nodes: Node[] = [];
  for (let at = 0; at < count; at++) {
    nodes.push(opened.use(await starter.start(`${prefix}${String(at % stores)}`)));
  }
  const before = await sizesOf(prefix);
  const name = `PostgreSQL, nodes: ${String(count)}, stores: ${String(stores)}`;
  const written = await measureNodes(name, nodes);
  const after = await sizesOf(prefix);
  return {
    ...{ nodes: count, stores, written, residentMiB: await residentMiB(nodes) },
    walBytesPerWrite: Math.round((after.wal - before.wal) / written),
    tableBytesPerDocument: Math.round((after.tables - before.tables) / written),
  };
}

async function measureAcross(): Promise<object[]> {
  await using first = await starter.start('watched');
  await using second = await starter.start('watched');
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

async function measureRevocations(): Promise<RefusalLatency[]> {
  await using first = await starter.start('revoked');
  await using second = await starter.start('revoked');
  const [one, other] = [first.server, second.server];
  const rows: RefusalLatency[] = [];
  for (const writers of WRITERS_BESIDE) {
    rows.push(...(await measureRefusals({ one, other, writers, rounds: ROUNDS })));
  }
  return rows;
}

async function measureLoad(): Promise<object[]> {
  {
    await using embedded = await starter.start();
    await measureNodes('embedded', [embedded]);
  }
  const sizes: object[] = [];
  for (const nodes of NODES) sizes.push(await measurePostgres(nodes));
  for (const [workload, measured] of workloads) {
    process.stderr.write(`${workload}\n`);
    report(`postgres, ${workload}`, 'embedded', measured);
  }
  process.stderr.write(`${JSON.stringify(sizes, undefined, 1)}\n`);
  return sizes;
}

const sizes = PARTS.includes('load') ? await measureLoad() : [];
const events = PARTS.includes('events') ? await measureAcross() : [];
process.stderr.write(`${JSON.stringify(events, undefined, 1)}\n`);
const revocations = PARTS.includes('revocations') ? await measureRevocations() : [];
process.stderr.write(`${JSON.stringify(revocations, undefined, 1)}\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'postgres, sizes, from a write to its event, and from a revocation to its refusal', sizes, events, revocations })}\n`,
);
