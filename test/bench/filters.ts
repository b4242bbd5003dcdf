/**
 * A filter without an index over MOLTEN_DOCUMENTS documents (default 150,000) of about MOLTEN_BODY_BYTES
 * (default 300): what it costs in a directory and in PostgreSQL, and what it would cost there if the
 * database left out documents that cannot match. A round runs each once; all figures are medians of rounds.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';

import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { field, QUERY, SELECTION } from '../contract/support.ts';
import { startPostgres } from '../support/postgres.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const DOCUMENTS = Number(process.env['MOLTEN_DOCUMENTS'] ?? 150_000);
const BODY_BYTES = Number(process.env['MOLTEN_BODY_BYTES'] ?? 300);
const ROUNDS = Number(process.env['MOLTEN_ROUNDS'] ?? 5);
const BATCH = 1000;
/** Documents that the database would look at in one statement. */
const SCANNED = 2048;
/** `/proc` counts in these. */
const TICK_MS = 10;

/** What one piece of work took. CPU in milliseconds; that of the database is known on Linux. */
interface Cost {
  readonly ms: number;
  readonly nodeCpu: number;
  readonly databaseCpu: number;
  /** Documents that came from the database to this process. */
  readonly moved: number;
}

using directory = createTemporaryDirectory();
await using database = await startPostgres();
const { password, port } = database;
const embedded = await openEmbeddedStore({
  ...{ directory: join(directory.path, 'store'), clock: systemClock },
});
const postgres = await openPostgresStore({
  ...{ url: database.url('bench'), password, clock: systemClock },
});
for (const engine of [embedded, postgres]) await fill(engine);
const client = new pg.Client({
  ...{ host: '127.0.0.1', port, user: 'molten', password, database: 'molten' },
  options: '-c search_path=bench -c enable_sort=off -c jit=off',
});
// The database goes first when something fails, and what failed is to be seen.
client.on('error', () => undefined);
await client.connect();

async function fill(engine: StorageEngine): Promise<void> {
  for (let at = 0; at < DOCUMENTS; at += BATCH) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let n = at; n < at + BATCH; n++) {
        const names = { n, name: `name ${String(n % 1000)}`, deep: { ok: n % 100 === 0 } };
        const body = JSON.stringify({ ...names, text: '' });
        const text = 'x'.repeat(Math.max(0, BODY_BYTES - body.length));
        transaction.put({
          ...{ collection: 'things', key: `k${String(n)}` },
          body: JSON.stringify({ ...names, text }),
        });
      }
    });
  }
}

const limits = { ...QUERY.limits, examinedMax: Infinity };
const BY_TEXT = field('name', 'eq', 'Name 77');
const BY_NUMBER = field('n', 'lt', 100);

/** One document in a thousand, by text. */
async function find(engine: StorageEngine): Promise<number> {
  return (await engine.query({ ...QUERY, filter: BY_TEXT, limits })).cost.examined;
}

/** How many of a number below 100. */
async function count(engine: StorageEngine): Promise<number> {
  const metrics = [{ name: 'count', kind: 'count', path: undefined }] as const;
  const asked = { ...SELECTION, filter: BY_NUMBER, limits, groupBy: [], metrics, groupsMax: 1 };
  return (await engine.aggregate(asked)).cost.examined;
}

/**
 * Walks by key in bounded statements. Each returns what fulfils a condition and the last one it looked at, with
 * its place, so that bounds of documents examined could be kept to the document.
 */
async function walk(table: string, condition: string): Promise<number> {
  let moved = 0;
  for (let after = ''; ;) {
    const text = `SELECT v.*, q.place FROM (
        SELECT p.*, row_number() OVER w AS place, lead(key) OVER w IS NULL AS is_last FROM (
          SELECT h.key AS key, h.seq, ${condition} AS matches FROM head h JOIN ${table} v ON v.seq = h.seq
          WHERE h.collection = 1 AND h.key > $1 AND h.live > 0 ORDER BY h.key LIMIT ${String(SCANNED)}
        ) p WINDOW w AS (ORDER BY key)
      ) q JOIN ${table} v ON v.seq = q.seq WHERE q.matches OR q.is_last ORDER BY q.key`;
    const { rows } = await client.query<{ key: string; place: string }>(text, [after]);
    moved += rows.length;
    const last = rows.at(-1);
    if (last === undefined || Number(last.place) < SCANNED) return moved;
    after = last.key;
  }
}

/** Stores all bodies once more as the log does, text alone or with jsonb beside it. */
async function copyInto(table: string, columns: string): Promise<number> {
  await client.query(`DROP TABLE IF EXISTS ${table}`);
  await client.query(`CREATE TABLE ${table} AS SELECT ${columns} FROM ver WITH NO DATA`);
  await client.query(`ALTER TABLE ${table} ADD PRIMARY KEY (seq)`);
  for (let from = 0; from <= DOCUMENTS; from += BATCH) {
    const range = `seq > ${String(from)} AND seq <= ${String(from + BATCH)}`;
    await client.query(`INSERT INTO ${table} SELECT ${columns} FROM ver WHERE ${range}`);
  }
  return 0;
}

const FOLDED = `lower(v.body COLLATE "C")`;
const UNREADABLE = String.raw`strpos(v.body, '\u0000') > 0`;
const JSON_TEXT = `(v.body::json #>> '{name}') COLLATE "C" ILIKE 'name 77'`;
const JSON_NUMBER = `(v.body::json #> '{n}')::jsonb @? '$ ? (@ <= 100)'`;
const either = (condition: string): string => `(${UNREADABLE} OR ${condition})`;

const WORK: Readonly<Record<string, () => Promise<number>>> = {
  'store text': () => copyInto('as_text', 'ver.*'),
  'store text and jsonb': () => copyInto('as_jsonb', 'ver.*, body::jsonb AS doc'),
  'directory, find': () => find(embedded),
  'directory, count': () => count(embedded),
  'PostgreSQL, find': () => find(postgres),
  'PostgreSQL, count': () => count(postgres),
  'nothing decided, walk alone': () => walk('ver', 'false'),
  'part of the text, find': () => walk('ver', `strpos(${FOLDED}, '"name 77"') > 0`),
  'JSON parsed, find': () => walk('ver', either(JSON_TEXT)),
  'JSON parsed, count': () => walk('ver', either(JSON_NUMBER)),
  'jsonb stored, find': () => walk('as_jsonb', `(v.doc #>> '{name}') COLLATE "C" ILIKE 'name 77'`),
  'jsonb stored, count': () => walk('as_jsonb', `v.doc @? '$.n ? (@ <= 100)'`),
};

async function databaseCpu(): Promise<number> {
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = 'molten'`,
  );
  return rows.reduce((sum, { pid }) => sum + ticksOf(pid) * TICK_MS, 0);
}

/** User and system time of a process; 0 where it cannot be told. */
function ticksOf(pid: number): number {
  try {
    const [, fields = ''] = readFileSync(`/proc/${String(pid)}/stat`, 'utf8').split(') ');
    const [user, system] = fields.split(' ').slice(11, 13).map(Number);
    return (user ?? 0) + (system ?? 0);
  } catch {
    return 0;
  }
}

async function measure(work: () => Promise<number>): Promise<Cost> {
  const before = await databaseCpu();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const moved = await work();
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  const nodeCpu = (user + system) / 1000;
  return { ms, nodeCpu, databaseCpu: (await databaseCpu()) - before, moved };
}

function median(costs: readonly Cost[], of: keyof Cost): number {
  const sorted = costs.map((cost) => cost[of]).sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? NaN);
}

/** How much faster than another, with how much less CPU. */
function ratiosTo(other: Omit<Cost, 'moved'>, cost: Omit<Cost, 'moved'>): string {
  const cpu = (other.nodeCpu + other.databaseCpu) / (cost.nodeCpu + cost.databaseCpu);
  return `speed × ${(other.ms / cost.ms).toFixed(2)}, CPU ÷ ${cpu.toFixed(2)}`;
}

const costs = new Map<string, Cost[]>(Object.keys(WORK).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, work] of Object.entries(WORK)) costs.get(name)?.push(await measure(work));
}
const sizes = await client.query<{ text: number; jsonb: number }>(
  `SELECT pg_total_relation_size('as_text')::float8 AS text,
    pg_total_relation_size('as_jsonb')::float8 AS jsonb`,
);

const rows = [...costs].map(([name, all]) => ({
  ...{ name, ms: median(all, 'ms'), nodeCpu: median(all, 'nodeCpu') },
  ...{ databaseCpu: median(all, 'databaseCpu'), moved: median(all, 'moved') },
}));
for (const { name, ms, nodeCpu, databaseCpu, moved } of rows) {
  const [, question = ''] = name.split(', ');
  const today = rows.find((row) => row.name === `PostgreSQL, ${question}`);
  const line = `${name.padEnd(28)} ${String(ms).padStart(6)} ms, CPU ${String(nodeCpu).padStart(5)} + ${String(databaseCpu).padStart(5)} ms, ${String(moved).padStart(7)} moved`;
  const ratios = today === undefined ? '' : `, ${ratiosTo(today, { ms, nodeCpu, databaseCpu })}`;
  process.stderr.write(`${line}${ratios}\n`);
}
const about = { bench: 'filters', documents: DOCUMENTS, bodyBytes: BODY_BYTES };
process.stdout.write(`${JSON.stringify({ ...about, bytes: sizes.rows[0], rows })}\n`);
await client.end();
await Promise.all([embedded.close(), postgres.close()]);
