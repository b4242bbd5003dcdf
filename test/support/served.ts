/** A server in a process of its own, with what a test asks of it. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import { requestsTo, type SendRequest } from './requests.ts';
import { startServe, type ServeOptions, type ServeProcess } from './serve.ts';
import { createTemporaryDirectory } from './temporary-directory.ts';

/** The server, and requests to it. */
export interface Served extends AsyncDisposable {
  readonly server: ServeProcess;
  readonly directory: string;
  readonly ask: SendRequest;
  /** The token of a sign-in. */
  login(username?: string, password?: string): Promise<string>;
}

/** What every server of these tests is given. */
export const SECRETS: Readonly<Record<string, string>> = {
  MOLTENDB_JWT_SECRET: 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more',
  MOLTENDB_ROOT_PASSWORD: 'a password long enough for tests',
};

/** Starts a server with a store of its own; `{}` in an argument stands for its directory. */
export async function serveWith(
  args: readonly string[],
  { variables = SECRETS }: Pick<ServeOptions, 'variables'> = {},
): Promise<Served> {
  const directory = createTemporaryDirectory();
  const own = [...(args.includes('--db-path') ? [] : ['--db-path', '{}/store']), '--port', '0'];
  const server = await startServe({
    args: [...own, ...args].map((arg) => arg.replace('{}', directory.path)),
    ...{ variables, directory: directory.path },
  });

  const ask = requestsTo(server.url);
  return {
    ...{ server, directory: directory.path, ask },
    async login(username = 'root', password = SECRETS['MOLTENDB_ROOT_PASSWORD']) {
      const { body } = await ask('POST', '/v1/sessions', { body: { username, password } });
      return String(body.token);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}
