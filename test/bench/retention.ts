/**
 * The same writers, all of whose writes replace others, on a node that keeps all history and on one that lets go
 * of it after a second: what letting go costs them, and whether it keeps up. Each twice, in turns; over PostgreSQL
 * with fsync on. `MOLTEN_SECONDS` is how long each of them writes (40).
 */
import { toBody } from '../../src/client/index.ts';
import { startPostgres } from '../support/postgres.ts';
import { measureCalls, report, type Measured } from './measure.ts';
import { createNodeStarter } from './nodes.ts';

const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 40);
const WRITERS = 64;
const KEYS = 1000;
const ROUNDS = 2;
const LOOK_MS = 1000;
const fields = { n: 5, name: 'a document', text: 'x'.repeat(300) };

await using database = await startPostgres();
using starter = createNodeStarter(database);

interface State {
  /** Entries below the floor that are still to be looked at. */
  readonly behind: number;
  readonly versions: number;
  readonly mebibytes: number;
}

async function stateOf(schema: string): Promise<State> {
  const [row] = await database.run(
    schema,
    `SELECT (floor - pruned_to)::float8 AS behind, (SELECT count(*) FROM ver)::float8 AS versions,
       (pg_total_relation_size('ver') / 1048576.0)::float8 AS mebibytes FROM clock`,
  );
  return row as State;
}

interface Kept {
  readonly measured: Measured;
  /** After the last write, and the longest way behind until then. */
  readonly after: State;
  readonly behindMax: number;
}

async function measureKept(round: number, seconds: number): Promise<Kept> {
  const name = seconds === 0 ? 'all history' : `history of ${String(seconds)} s`;
  const schema = `keeps_${String(seconds)}_${String(round)}`;
  await using node = await starter.start(schema, ['--retain-history', String(seconds)]);
  const { documents } = node.server.client;
  let behindMax = 0;
  const looking = setInterval(() => {
    void stateOf(schema).then(({ behind }) => (behindMax = Math.max(behindMax, behind)));
  }, LOOK_MS);
  const put = async (client: number, at: number): Promise<void> => {
    const key = `k${String((client * 7919 + at * WRITERS) % KEYS)}`;
    await documents.setDocument({ collection: 'bench', key, body: toBody(fields) });
  };
  const measured = await measureCalls(name, put, { clients: WRITERS, seconds: SECONDS });
  clearInterval(looking);
  return { measured, after: await stateOf(schema), behindMax };
}

const kept: Kept[] = [];
for (let round = 0; round < ROUNDS; round++) {
  for (const seconds of [0, 1]) kept.push(await measureKept(round, seconds));
}
const results = kept.map(({ measured }) => measured);
report('retention', results[0]?.name ?? '', results);
const states = kept.map(({ measured: { name }, after, behindMax }) => ({
  name,
  ...after,
  behindMax,
}));
process.stderr.write(`${JSON.stringify(states, undefined, 1)}\n`);
process.stdout.write(`${JSON.stringify({ bench: 'retention, what is left', states })}\n`);
