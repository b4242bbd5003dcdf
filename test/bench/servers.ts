/** The servers under measurement, in one process of their own: ours and the bare ones beside it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Server, ServerCredentials } from '@grpc/grpc-js';
import { fastify } from 'fastify';

import { startTestServer } from '../support/server.ts';
import { loadDocumentService } from './grpc-reader.ts';

const document = { n: 5, name: 'a document', tags: ['a', 'b'], text: 'x'.repeat(900) };
const answer = { document: { collection: 'bench', key: 'k', version: '1', fields: document } };

const molten = await startTestServer({ writeMode: 'sync' });
await molten.asRoot('PUT', '/v1/collections/bench/documents/k', { body: { fields: document } });
const writes = Array.from({ length: 1000 }, (_, n) => ({
  key: `k${String(n)}`,
  body: { fields: { n } },
}));
await molten.asRoot('POST', '/v1/collections/bench/documents:batchSet', { writes });
await molten.asRoot('POST', '/v1/collections/bench/indexes', { fields: [{ path: 'n' }] });

const node = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
});
await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));

const app = fastify();
app.get('/', async () => answer);
await app.listen({ port: 0, host: '127.0.0.1' });

const grpc = new Server();
const json = Buffer.from(JSON.stringify(document));
const { service } = loadDocumentService();
grpc.addService(service as never, {
  getDocument: (_call: unknown, done: (error: null, value: unknown) => void) => {
    done(null, { document: { collection: 'bench', key: 'k', version: 1, json } });
  },
});
const grpcPort = await new Promise<number>((resolve, reject) => {
  grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
});

const portOf = (address: unknown): string => String((address as AddressInfo).port);
process.send?.({
  molten: molten.url,
  node: `http://127.0.0.1:${portOf(node.address())}`,
  fastify: `http://127.0.0.1:${portOf(app.server.address())}`,
  grpc: `127.0.0.1:${String(grpcPort)}`,
  token: await molten.rootToken(),
});
process.once('disconnect', () => {
  process.kill(process.pid);
});
