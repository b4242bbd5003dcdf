/** Durable writes and reads on PostgreSQL, by nodes that share it,. */
import { systemClock } from '../../src/platform/clock.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { startPostgres } from '../support/postgres.ts';
import { measureCalls, report, type Measured } from './measure.ts';

const text = JSON.stringify({ n: 5, name: 'a document', text: 'x'.repeat(300) });
const results: Measured[] = [];
await using database = await startPostgres({ max_connections: '200' });
const { password } = database;

for (const count of [1, 2, 4]) {
  const url = database.url(`bench_${String(count)}`);
  const nodes: StorageEngine[] = [];
  for (let at = 0; at < count; at++) {
    nodes.push(await openPostgresStore({ url, password, clock: systemClock }));
  }
  const put = async (client: number, at: number): Promise<void> => {
    await nodes[client % count]?.transact({ durability: 'sync' }, (transaction) => {
      const key = `${String(client)}-${String(at)}`;
      transaction.put({ collection: 'bench', key, body: text });
    });
  };
  const name = count === 1 ? '1 node' : `${String(count)} nodes`;
  if (count === 1) results.push(await measureCalls('1 node, 1 writer', put, { clients: 1 }));
  results.push(await measureCalls(`${name}, 64 writers`, put, { clients: 64 }));
  results.push(await measureCalls(`${name}, 512 writers`, put, { clients: 512 }));
  const get = async (client: number, at: number): Promise<void> => {
    await nodes[client % count]?.get('bench', [`${String(client)}-${String(at % 50)}`]);
  };
  results.push(await measureCalls(`${name}, 16 readers by key`, get, { clients: 16 }));
  await Promise.all(nodes.map((node) => node.close()));
}
report('postgres', '1 node, 1 writer', results);
