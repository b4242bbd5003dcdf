/** Point reads of one 1 kB document, beside a bare HTTP server, a bare Fastify route and grpc-js. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { DocumentEncoding } from '../../gen/molten/v1/documents_pb.ts';
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
const binary = createMoltenClient({ url: molten ?? '', token: () => token });
const read = { collection: 'bench', key: 'k', encoding: DocumentEncoding.JSON };
results.push(
  await measureCalls('Connect binary point read', () => binary.documents.getDocument(read)),
);
const question = { where: { n: 5 } };
const asked = JSON.stringify({ query: question, pageSize: 10 });
const ofBench = JSON.stringify({ collection: 'bench', query: question, pageSize: 10 });
const query = { collection: 'bench', query: question, pageSize: 10 };
results.push(
  await measureHttp({
    ...{ name: 'REST query by index', method: 'POST', headers: json, body: asked },
    url: `${molten ?? ''}/v1/collections/bench/documents:query`,
  }),
  await measureHttp({
    ...{ name: 'Connect JSON query by index', method: 'POST', headers: json, body: ofBench },
    url: `${molten ?? ''}/molten.v1.DocumentService/QueryDocuments`,
  }),
  await measureCalls('Connect binary query by index', () => binary.documents.queryDocuments(query)),
);
const overGrpc = createMoltenClient({ url: molten ?? '', token: () => token, protocol: 'grpc' });
results.push(
  await measureCalls('gRPC query by index', () => overGrpc.documents.queryDocuments(query)),
);
report('reads', 'bare Fastify JSON', results);
servers.kill();
