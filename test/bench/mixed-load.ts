/** A server in a process of its own, filled, and requests to it as applications make them. */
import { readdirSync } from 'node:fs';

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
  /** Half of them point reads, three in ten queries by index, two in ten durable writes of whole documents. */
  readonly request: RequestBytes;
  residentBytes(): Promise<number>;
  eventLoopP99Ms(): Promise<number>;
  openFiles(): number;
}

/**
 * Documents and queries are of the sizes of YCSB (Cooper et al., SoCC 2010): records of ten fields of 100 bytes, scans of 1 to
 * 100 of them, each length as often. `MOLTEN_FIELDS` (10) and `MOLTEN_PAGE` (100) make them smaller, and calls cheaper.
 */
const FIELDS = Number(process.env['MOLTEN_FIELDS'] ?? 10);
const PAGE_MAX = Number(process.env['MOLTEN_PAGE'] ?? 100);
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

function mix(token: string): RequestBytes {
  const random = createRandom(1);
  const documents = '/v1/collections/bench/documents';
  return () => {
    const key = random.below(DOCUMENTS);
    const kind = random.below(10);
    if (kind < 5) return request(token, { line: `GET ${documents}/k${String(key)}` });
    if (kind < 8) {
      const pageSize = 1 + random.below(PAGE_MAX);
      const body = { query: { where: { n: { $gte: key, $lt: key + pageSize } } }, pageSize };
      return request(token, { line: `POST ${documents}:query`, body });
    }
    const body = { fields: { n: key, ...TEXTS } };
    return request(token, { line: `PUT ${documents}/k${String(key)}`, body: { body } });
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
