/** Point reads of one 1 kB document, beside a bare HTTP server, a bare Fastify route and grpc-js. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { createMoltenClient } from '../../src/client/client.ts';
import { measureCalls, measureHttp, report, type Measured } from './measure.ts';

const servers = fork(fileURLToPath(new URL('servers.ts', import.meta.url)));
const { molten, fastify, node, grpc, token } = await new Promise<Record<string, string>>(
  (resolve) => {
    servers.once('message', (message) => {
      resolve(message as Record<string, string>);
    });
  },
);
const headers = { authorization: `Bearer ${token ?? ''}` };
const json = { ...headers, 'content-type': 'application/json' };
const get = JSON.stringify({ collection: 'bench', key: 'k' });
const path = '/molten.v1.DocumentService/GetDocument';
const results: Measured[] = [];
results.push(await measureHttp({ name: 'bare node:http JSON', url: node ?? '' }));
results.push(await measureHttp({ name: 'bare Fastify JSON', url: fastify ?? '' }));
const rest = `${molten ?? ''}/v1/collections/bench/documents/k`;
results.push(await measureHttp({ name: 'REST point read', url: rest, headers }));
const connect = {
  url: `${molten ?? ''}${path}`,
  method: 'POST',
  body: get,
  headers: json,
} as const;
results.push(await measureHttp({ name: 'Connect JSON point read', ...connect }));
const { createGrpcReader } = await import('./grpc-reader.ts');
const bare = createGrpcReader(grpc ?? '', token ?? '');
results.push(await measureCalls('bare grpc-js point read', () => bare.read()));
bare.close();
const ours = createGrpcReader((molten ?? '').replace('http://', ''), token ?? '');
results.push(await measureCalls('gRPC point read', () => ours.read()));
ours.close();
const client = createMoltenClient({ url: molten ?? '', token: () => token });
const query = { collection: 'bench', query: { where: { n: 5 } }, pageSize: 10 };
results.push(
  await measureCalls('Connect binary query by index', () => client.documents.queryDocuments(query)),
);
report('reads', 'bare Fastify JSON', results);
servers.kill();
