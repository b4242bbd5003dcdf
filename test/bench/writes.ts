/** Durable writes, one at a time and many at once, beside the engine alone and the rate of fdatasync. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { createMoltenClient } from '../../src/client/client.ts';
import { toBody } from '../../src/client/documents.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import { startTestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { measureCalls, measureHttp, report, type Measured } from './measure.ts';

const document = { n: 5, name: 'a document', text: 'x'.repeat(300) };
const text = JSON.stringify(document);
const results: Measured[] = [];
using directory = createTemporaryDirectory();

const file = openSync(join(directory.path, 'file'), 'w');
const sync = async (): Promise<void> => {
  writeSync(file, text);
  fdatasyncSync(file);
};
results.push(await measureCalls('fdatasync, one after the other', sync, { clients: 1 }));
closeSync(file);

const engine = await openEmbeddedStore({
  directory: join(directory.path, 'engine'),
  clock: systemClock,
});
const put = (client: number, at: number): Promise<unknown> =>
  engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.put({ collection: 'bench', key: `${String(client)}-${String(at)}`, body: text });
  });
results.push(await measureCalls('engine, 1 writer', put, { clients: 1 }));
results.push(await measureCalls('engine, 64 writers', put, { clients: 64 }));
await engine.close();

await using server = await startTestServer({ writeMode: 'sync' });
const token = await server.rootToken();
for (const protocol of ['connect', 'grpc'] as const) {
  const { documents } = createMoltenClient({ url: server.url, token: () => token, protocol });
  const set = (client: number, at: number): Promise<unknown> =>
    documents.setDocument({
      ...{ collection: protocol, key: `${String(client)}-${String(at)}`, body: toBody(document) },
    });
  results.push(await measureCalls(`${protocol}, 1 client`, set, { clients: 1 }));
  results.push(await measureCalls(`${protocol}, 64 clients`, set, { clients: 64 }));
  const batch = (client: number, at: number): Promise<unknown> =>
    documents.batchSetDocuments({
      collection: `${protocol}-batch`,
      writes: Array.from({ length: 100 }, (_, n) => ({
        key: `${String(client)}-${String(at)}-${String(n)}`,
        body: toBody(document),
      })),
    });
  results.push(await measureCalls(`${protocol}, batches of 100, 4 clients`, batch, { clients: 4 }));
}
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
const rest = `${server.url}/v1/collections/rest/documents`;
const rpc = `${server.url}/molten.v1.DocumentService`;
// Without keys, so that each is a document of its own.
const one = { fields: document };
const hundred = Array.from({ length: 100 }, () => ({ body: one }));
for (const [name, single, batch] of [
  [
    'REST',
    { url: rest, body: { body: one } },
    { url: `${rest}:batchSet`, body: { writes: hundred } },
  ],
  [
    'Connect JSON',
    { url: `${rpc}/InsertDocument`, body: { collection: 'json', body: one } },
    { url: `${rpc}/BatchSetDocuments`, body: { collection: 'json', writes: hundred } },
  ],
] as const) {
  const post = { method: 'POST', headers } as const;
  const write = { ...post, url: single.url, body: JSON.stringify(single.body) };
  const batches = { ...post, url: batch.url, body: JSON.stringify(batch.body) };
  results.push(
    await measureHttp({ ...write, name: `${name}, 1 client`, connections: 1 }),
    await measureHttp({ ...write, name: `${name}, 64 clients`, connections: 64 }),
    await measureHttp({ ...batches, name: `${name}, batches of 100, 4 clients`, connections: 4 }),
  );
}
report('writes', 'fdatasync, one after the other', results);
