/** A server in a process of its own, filled, and requests to it as applications make them. */
import { readdirSync } from 'node:fs';

import { invariant } from '../../src/errors/invariant.ts';
import { createMoltenClient, toBody, type MoltenClient } from '../../src/client/index.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createRandom } from '../support/random.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import type { RequestBytes } from './open-load.ts';

/** The server under load. */
export interface LoadedServer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly token: string;
  readonly client: MoltenClient;
  /** Half of them point reads, three in ten queries by index, two in ten durable writes of whole documents, unless `MOLTEN_WORKLOAD` is told. */
  readonly request: RequestBytes;
  residentBytes(): Promise<number>;
  eventLoopP99Ms(): Promise<number>;
  openFiles(): number;
}

/** Documents are of the size of YCSB (Cooper et al., SoCC 2010), records of ten fields of 100 bytes, and so are queries: 1 to 100 of them, each length as often. */
const FIELDS = 10;
const PAGE_MAX = 100;
/** Documents it has, unless told otherwise. */
const DOCUMENTS = 10_000;
const TEXTS = Object.fromEntries(
  Array.from({ length: FIELDS }, (_, n) => [`field${String(n)}`, 'x'.repeat(100)]),
);

/** Starts it on an empty directory, with all options at their defaults but those of `variables`. */
export async function startLoaded(
  documents: number = DOCUMENTS,
  variables: Readonly<Record<string, string>> = {},
): Promise<LoadedServer> {
  const directory = createTemporaryDirectory();
  const serve: ServeProcess = await startServe({
    args: [...['--db-path', `${directory.path}/data`, '--port', '0', '--log-level', 'error']],
    variables: {
      MOLTENDB_ENCRYPTION_KEY: 'an encryption key for benchmarks',
      MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
      MOLTENDB_ROOT_PASSWORD: ROOT.password,
      ...variables,
    },
  });
  const anonymous = createMoltenClient({ url: serve.url });
  const { token } = await anonymous.auth.login({ ...ROOT, ttl: { seconds: 86_400n } });
  const client = createMoltenClient({ url: serve.url, token: () => token });
  for (let at = 0; at < documents; at += 1000) {
    const writes = Array.from({ length: 1000 }, (_, n) => ({
      ...{ key: `k${String(at + n)}`, body: toBody({ n: at + n, ...TEXTS }) },
    }));
    await client.documents.batchSetDocuments({ collection: 'bench', writes });
  }
  await client.collections.createIndex({ collection: 'bench', fields: [{ path: 'n' }] });
  const stats = async (): ReturnType<MoltenClient['admin']['getStats']> =>
    await client.admin.getStats({});
  return {
    ...{
      port: Number(new URL(serve.url).port),
      pid: serve.child.pid ?? 0,
      token,
      client,
      request: mix(token),
    },
    residentBytes: async () => Number((await stats()).process?.residentBytes ?? 0),
    eventLoopP99Ms: async () => (await stats()).process?.eventLoopDelayP99Ms ?? 0,
    openFiles: () => readdirSync(`/proc/${String(serve.child.pid)}/fd`).length,
    async [Symbol.asyncDispose]() {
      await serve[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** Of a hundred calls, how many are point reads, and how many queries by index; the others are durable writes of whole documents. */
interface Workload {
  readonly reads: number;
  readonly queries: number;
  /** Writes are of new documents, not of some that there are. */
  readonly isInserting: boolean;
}

const WORKLOADS: Readonly<Record<string, Workload>> = {
  mixed: { reads: 50, queries: 30, isInserting: false },
  /** Workload E of YCSB, but that all documents are asked for equally often. */
  scans: { reads: 0, queries: 95, isInserting: true },
};

/** `MOLTEN_WORKLOAD` (mixed). */
function workload(): Workload {
  const name = process.env['MOLTEN_WORKLOAD'] ?? 'mixed';
  const found = WORKLOADS[name];
  const names = Object.keys(WORKLOADS).join(', ');
  invariant(found, `MOLTEN_WORKLOAD is one of ${names}, not ${name}`);
  return found;
}

function mix(token: string): RequestBytes {
  const random = createRandom(1);
  const { reads, queries, isInserting } = workload();
  const documents = '/v1/collections/bench/documents';
  let inserted = 0;
  return () => {
    const key = random.below(DOCUMENTS);
    const kind = random.below(100);
    if (kind < reads) return request(token, { line: `GET ${documents}/k${String(key)}` });
    if (kind < reads + queries) {
      const pageSize = 1 + random.below(PAGE_MAX);
      const body = { query: { where: { n: { $gte: key, $lt: key + pageSize } } }, pageSize };
      return request(token, { line: `POST ${documents}:query`, body });
    }
    const n = isInserting ? DOCUMENTS + inserted++ : key;
    const body = { fields: { n, ...TEXTS } };
    return request(token, { line: `PUT ${documents}/k${String(n)}`, body: { body } });
  };
}

/** The bytes of one request of the root user. */
export function request(
  token: string,
  { line, body }: { readonly line: string; readonly body?: object },
): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const type = body === undefined ? '' : 'content-type: application/json\r\n';
  return Buffer.from(
    `${line} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${token}\r\n${type}` +
      `content-length: ${String(Buffer.byteLength(text))}\r\n\r\n${text}`,
  );
}
