/** Servers under measurement, each in a process of its own, on one database or a directory. */
import { join } from 'node:path';

import { createMoltenClient } from '../../src/client/index.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { startServe } from '../support/serve.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import type { WatchedServer } from './watch-latency.ts';

/** A server in a process of its own. */
export interface Node extends AsyncDisposable {
  readonly server: WatchedServer;
}

/** Starts servers; what they leave goes with it. */
export interface NodeStarter extends Disposable {
  /** Over a schema of the database; without one, over a directory. */
  start(schema?: string, args?: readonly string[]): Promise<Node>;
}

/** What starts servers over this database. */
export function createNodeStarter(database: TestPostgres): NodeStarter {
  const directory = createTemporaryDirectory();
  let started = 0;
  return {
    async start(schema, args = []) {
      const dbPath = join(directory.path, `node-${String(++started)}`);
      const storage = schema === undefined ? [] : ['--storage-url', database.url(schema)];
      const serve = await startServe({
        args: [
          ...['--db-path', dbPath, '--port', '0', '--log-level', 'silent', '--disable-encryption'],
          ...[...storage, ...args],
        ],
        variables: {
          ...(schema === undefined ? {} : { MOLTENDB_STORAGE_PASSWORD: database.password }),
          MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
          MOLTENDB_ROOT_PASSWORD: ROOT.password,
          MOLTENDB_MAX_CONNECTIONS_PER_ADDRESS: '10000',
        },
      });
      const { token } = await createMoltenClient({ url: serve.url }).auth.login({
        ...{ ...ROOT, ttl: { seconds: 3600n } },
      });
      const client = createMoltenClient({ url: serve.url, token: () => token });
      return {
        server: { url: serve.url, token, client },
        [Symbol.asyncDispose]: () => serve[Symbol.asyncDispose](),
      };
    },
    [Symbol.dispose]() {
      directory[Symbol.dispose]();
    },
  };
}
