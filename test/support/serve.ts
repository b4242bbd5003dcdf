import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fstatSync, openSync, readdirSync, readSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve as resolvePath } from 'node:path';

import { MOLTEN } from './molten.ts';
import { overhearFile, overhearLog, overhearStart } from './overheard.ts';
import { runStorage } from './run-storage.ts';

/** A server in a process of its own, as an operator runs it. */
export interface ServeProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly url: string;
  /** All it has printed so far. */
  stdout(): string;
  stderr(): string;
  /** Sends a signal and waits for the end; the exit code, or the signal that ended it. */
  stop(signal: NodeJS.Signals): Promise<number | string>;
}

/** What is given to the process. */
export interface ServeOptions {
  readonly args: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** Absent: the command of this tree. */
  readonly command?: string;
  /** No file may grow beyond this, so that writing fails with EFBIG as it would on a full disk. */
  readonly fileKibibytesMax?: number;
}

const READY = /listens on (\S+)/;
/** Where a server in development says that it keeps its secrets. */
const SECRETS_MADE = /password in (.+)$/m;

/**
 * Starts `molten serve` and waits until it listens; fails with what it printed when it does not. It logs all
 * it can, unless its configuration is a file: what it logs is searched for secrets.
 */
export async function startServe(options: ServeOptions): Promise<ServeProcess> {
  const { args, variables = {}, directory, command = MOLTEN, fileKibibytesMax } = options;
  const limit = fileKibibytesMax?.toString() ?? 'unlimited';
  const log = openLog();
  let stdout = '';
  overhearLog(() => stdout + log.text());
  const given = { ...storageOf(options), ...variables };
  overhearStart(args, given, directory);
  const verbose = args.includes('--config') ? {} : { MOLTENDB_LOG_LEVEL: 'debug' };
  const script = `trap '' XFSZ; ulimit -f ${limit}; exec "$0" "$@"`;
  const child = spawn('bash', ['-c', script, process.execPath, command, 'serve', ...args], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      ...verbose,
      ...given,
    },
    stdio: ['ignore', 'pipe', log.descriptor],
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const found = READY.exec(stdout)?.[1];
      if (found !== undefined && stdout.includes('try ')) resolve(found);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      reject(new RefusedStart(code ?? -1, log.text()));
    });
  });
  overhearMade(stdout, directory);
  const stop = async (signal: NodeJS.Signals): Promise<number | string> => {
    child.kill(signal);
    const [code, ended] = (await exited) as [number | null, string | null];
    return code ?? ended ?? '';
  };
  return {
    ...{ child, url, stop, stdout: () => stdout, stderr: log.text },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await stop('SIGKILL');
    },
  };
}

/** What a process prints. */
interface Log {
  readonly descriptor: number;
  readonly text: () => string;
}

/**
 * A file that goes with this process. A pipe would hold the server up while a test waits for a command in
 * its own thread and does not empty it.
 */
function openLog(): Log {
  const path = join(tmpdir(), `molten-${randomUUID()}.log`);
  const descriptor = openSync(path, 'ax+', 0o600);
  unlinkSync(path);
  return {
    descriptor,
    text() {
      const bytes = Buffer.alloc(fstatSync(descriptor).size);
      return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
    },
  };
}

/** Remembers the secrets that a server in development has made. */
function overhearMade(greeting: string, directory = '.'): void {
  const file = SECRETS_MADE.exec(greeting)?.[1];
  if (file === undefined) return;
  const made = resolvePath(directory, dirname(file));
  for (const name of readdirSync(made)) overhearFile(join(made, name));
}

/**
 * Where the store is when the run says it, and not the test. One of the same directory, or else of the same
 * file of options, is the same one, so that a server finds again what the one before it has left.
 */
function storageOf({ args, directory = '' }: ServeOptions): Readonly<Record<string, string>> {
  if (args.includes('--storage-url')) return {};
  const place = valueOf(args, '--db-path') ?? valueOf(args, '--config') ?? 'data';
  const storage = runStorage(resolvePath(directory, place));
  if (storage === undefined) return {};
  return {
    MOLTENDB_STORAGE_URL: storage.url,
    MOLTENDB_STORAGE_PASSWORD: storage.password ?? '',
    MOLTENDB_STORAGE_CONNECTIONS: storage.connections.toString(),
  };
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  return args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
}

/** Starts `molten serve`, which must not come to listen; a server that does is stopped. */
export async function refusedStart(options: ServeOptions): Promise<RefusedStart> {
  const started = await startServe(options).catch((error: unknown) => error);
  if (started instanceof RefusedStart) return started;
  if (!(started instanceof Error)) await (started as ServeProcess).stop('SIGKILL');
  throw new Error('the server was to refuse its start', { cause: started });
}

/** A server that did not start. */
class RefusedStart extends Error {
  override readonly name = 'RefusedStart';
  readonly code: number;
  readonly stderr: string;

  constructor(code: number, stderr: string) {
    super(`the server ended with ${String(code)}: ${stderr}`);
    this.code = code;
    this.stderr = stderr;
  }
}
