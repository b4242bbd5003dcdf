/**
 * What encrypting the pages costs: a query of 50 documents of 1 kB by index on one connection, after a commit on another one has
 * made it forget its pages, and again; and the commit. In microseconds, medians of `MOLTEN_ROUNDS` (2,000) of each, the ciphers in turn, and as
 * ratios to cleartext.
 */
import { join } from 'node:path';

import Database from 'better-sqlite3-multiple-ciphers';

import { createRandom } from '../support/random.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const ROUNDS = Number(process.env['MOLTEN_ROUNDS'] ?? 2000);
const DOCUMENTS = 10_000;
const PAGE = 50;
const BODY_CHARS = 1000;
const KEY = 'ab'.repeat(32);
const CIPHERS: Readonly<Record<string, readonly string[]>> = {
  cleartext: [],
  'chacha20-poly1305': [`cipher = 'chacha20'`, `key = 'raw:${KEY}'`],
  'aegis-256': [`cipher = 'aegis'`, `algorithm = 'aegis-256'`, `key = 'raw:${KEY}'`],
};

/** One file with its writer and its reader, and how long each of their works took. */
interface Contender {
  readonly name: string;
  readonly write: (n: number, round: number) => unknown;
  readonly read: (n: number) => unknown;
  readonly times: {
    readonly commit: number[];
    readonly afterCommit: number[];
    readonly again: number[];
  };
}

/** Another one each round: SQLite writes nothing where nothing changes. */
const bodyOf = (round: number): string => String(round).padEnd(BODY_CHARS, 'x');

function open(file: string, pragmas: readonly string[]): Database.Database {
  const database = new Database(file);
  for (const pragma of [...pragmas, 'cache_size = -32768']) database.pragma(pragma);
  return database;
}

function contend(directory: string, name: string): Contender {
  const file = join(directory, name);
  const pragmas = CIPHERS[name] ?? [];
  const writer = open(file, pragmas);
  writer.pragma('journal_mode = WAL');
  writer.pragma('synchronous = OFF');
  writer.exec(
    'CREATE TABLE doc (id INTEGER PRIMARY KEY, n INTEGER, body TEXT); CREATE INDEX by_n ON doc (n)',
  );
  const insert = writer.prepare('INSERT INTO doc VALUES (?, ?, ?)');
  writer.transaction(() => {
    for (let n = 0; n < DOCUMENTS; n++) insert.run(n, n, bodyOf(0));
  })();
  const update = writer.prepare('UPDATE doc SET body = ? WHERE id = ?');
  const select = open(file, pragmas).prepare('SELECT body FROM doc WHERE n >= ? AND n < ?');
  return {
    name,
    write: (n, round) => update.run(bodyOf(round), n),
    read: (n) => select.all(n, n + PAGE),
    times: { commit: [], afterCommit: [], again: [] },
  };
}

function time(times: number[], work: () => unknown): void {
  const startMs = performance.now();
  work();
  times.push(1000 * (performance.now() - startMs));
}

const median = (values: readonly number[]): number =>
  Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN);

using directory = createTemporaryDirectory();
const contenders = Object.keys(CIPHERS).map((name) => contend(directory.path, name));
const random = createRandom(1);
for (let round = 1; round <= ROUNDS; round++) {
  const n = random.below(DOCUMENTS - PAGE);
  for (const { write, read, times } of contenders) {
    time(times.commit, () => write(n, round));
    time(times.afterCommit, () => read(n));
    time(times.again, () => read(n));
  }
}
const medians = contenders.map(({ name, times }) => ({
  name,
  commit: median(times.commit),
  afterCommit: median(times.afterCommit),
  again: median(times.again),
}));
const [cleartext] = medians;
const results = medians.map((one) => ({
  ...one,
  toCleartext: {
    commit: ratio(one.commit, cleartext?.commit),
    afterCommit: ratio(one.afterCommit, cleartext?.afterCommit),
    again: ratio(one.again, cleartext?.again),
  },
}));
process.stdout.write(
  `${JSON.stringify({ bench: 'ciphers', node: process.version, rounds: ROUNDS, results })}\n`,
);

function ratio(value: number, base: number | undefined): number {
  return Math.round((100 * value) / (base ?? NaN)) / 100;
}
