/**
 * A server in a process of its own, behind a relay, that is killed, paused, cut off and swapped for an
 * older state of itself while writers write and watchers watch; and what the writers know to be written.
 */
import { setTimeout as wait } from 'node:timers/promises';

import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { DocumentEncoding, type WriteResult } from '../../gen/molten/v1/documents_pb.ts';
import {
  WatchEventKind,
  type WatchRequest,
  type WatchRequestSchema,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import { createMoltenClient, toBody, type MoltenClient } from '../../src/client/index.ts';
import { toMoltenError, type MoltenError } from '../../src/client/molten-error.ts';
import { createMolten } from './molten.ts';
import { startProxy, type Proxy } from './proxy.ts';
import type { Random } from './random.ts';
import { startServe, type ServeProcess } from './serve.ts';
import type { AcknowledgedWrite } from './watch-properties.ts';
import { watchClient } from './watching.ts';

const KEYS = 40;
const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
  MOLTENDB_ENCRYPTION_KEY: 'an encryption key for tests',
};
/** How often a server is started again that does not reach its database, and how long after it has ended. */
const RESTARTS_MAX = 30;
const RESTART_MS = 500;
/** The key of the last write. */
const END = 'end';
/** Messages after which nothing is missing. */
const COMPLETE: readonly WatchEventKind[] = [
  WatchEventKind.COMMIT,
  WatchEventKind.CURRENT,
  WatchEventKind.BOOKMARK,
];

/** The server is killed, held still, or every connection to it is cut. */
export type FaultKind = 'kill' | 'pause' | 'cut';
export const FAULTS: readonly FaultKind[] = ['kill', 'pause', 'cut'];

/** What a watch after a sequence tells, besides that it has begun and has ended. */
const TOLD: readonly WatchEventKind[] = [WatchEventKind.COMMIT, WatchEventKind.BOOKMARK];

/** Where a watch starts. */
export type Start = WatchRequest['start'];
/** After sequence 0: everything there ever was. */
export const FROM_THE_BEGINNING: Start = { case: 'afterSequence', value: 0n };

/** What one watcher is told, over all its connections. */
export interface Watcher {
  readonly messages: readonly WatchResponse[];
  /** Waits until it has been told something. */
  hasBegun(): Promise<void>;
  /** Everything told, once the last write is. */
  told(): Promise<readonly WatchResponse[]>;
  /** What it was refused with for good; undefined when it ended in peace. */
  ended(): Promise<MoltenError | undefined>;
}

/** What a watcher follows. */
export interface WatcherOptions {
  readonly start?: Start;
  /** Empty: every collection. */
  readonly collection?: string;
  readonly where?: JsonObject;
  /** How long it takes over each message, in milliseconds. Absent: no time. */
  readonly slowMs?: number;
  /** Without the client's own resuming: what the server sends, as it sends it. */
  readonly isRaw?: boolean;
}

/** What a server is started with. */
export interface FailingServerOptions {
  readonly directory: string;
  readonly random: Random;
  /** A database that it shares with others; absent: its store is in the directory. */
  readonly database?: { readonly url: string; readonly password: string };
}

/** A server behind a relay, a client of the relay, and what its writers know to be written. */
export class FailingServer implements AsyncDisposable {
  readonly client: MoltenClient;
  /** Since the start, or since the last swap. */
  acknowledged: AcknowledgedWrite[] = [];
  readonly #options: FailingServerOptions;
  readonly #random: Random;
  readonly #proxy: Proxy;
  readonly #token: string;
  readonly #watching = new AbortController();
  /** Faults of the round under way that are still to come. */
  readonly #faults: FaultKind[] = [];
  #server: ServeProcess;
  #isOver = false;

  private constructor(
    options: FailingServerOptions,
    running: { readonly proxy: Proxy; readonly server: ServeProcess; readonly token: string },
  ) {
    const { proxy, server, token } = running;
    this.#options = options;
    this.#random = options.random;
    this.#proxy = proxy;
    this.#server = server;
    this.#token = token;
    this.client = createMoltenClient({ url: proxy.url, token: () => token, timeoutMs: 5000 });
  }

  /** A client that nothing cuts off, for calls that may not be made twice. */
  get direct(): MoltenClient {
    return createMoltenClient({ url: this.#server.url, token: () => this.#token });
  }

  static async start(options: FailingServerOptions): Promise<FailingServer> {
    const server = await serve(options);
    const proxy = await startProxy();
    proxy.target = portOf(server);
    const login = { username: 'root', password: PASSWORD };
    const { token } = await createMoltenClient({ url: proxy.url }).auth.login(login);
    return new FailingServer(options, { proxy, server, token });
  }

  /** Writes until it is over. What was not acknowledged may have happened, or not. */
  async write(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#writeOnce();
      } catch {
        await wait(20);
      }
    }
  }

  /** Writes many documents once, before anything fails. */
  async fill(count: number): Promise<void> {
    const numbers = Array.from({ length: count }, (_, n) => n % 1000);
    for (let first = 0; first < count; first += 500) {
      const some = numbers.slice(first, first + 500);
      await this.#writeBatch(some.map((n, at) => [`filled-${String(first + at)}`, n]));
    }
  }

  /** Lets it run for a while, then breaks something: each kind once before one comes again, in any order. */
  async fault(): Promise<FaultKind> {
    await wait(150 + this.#random.below(300));
    if (this.#faults.length === 0) this.#faults.push(...FAULTS);
    const [kind = 'cut'] = this.#faults.splice(this.#random.below(this.#faults.length), 1);
    if (kind === 'pause') await this.pause();
    else if (kind === 'cut') this.#proxy.cut();
    else {
      await this.#stop('SIGKILL');
      await this.#serve();
    }
    return kind;
  }

  /** Holds the server still for a while. */
  async pause(): Promise<void> {
    const { child } = this.#server;
    child.kill('SIGSTOP');
    await wait(400);
    child.kill('SIGCONT');
  }

  /** Cuts every connection again and again, so that all resume, until some work is done. */
  async cutDuring<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    const cutting = async (): Promise<void> => {
      while (!isDone) {
        await wait(20 + this.#random.below(150));
        this.#proxy.cut();
      }
    };
    const [result] = await Promise.all([done, cutting()]);
    return result;
  }

  /** Serves the state after a sequence instead, as a recovery makes it: another timeline. */
  async swap(sequence: bigint): Promise<void> {
    await this.#stop(this.#random.below(2) === 0 ? 'SIGKILL' : 'SIGTERM');
    const variables = { MOLTENDB_ENCRYPTION_KEY: SECRETS.MOLTENDB_ENCRYPTION_KEY };
    const { directory } = this.#options;
    const molten = createMolten(directory, variables);
    const { code, stderr } = await molten(
      ...['recover', '--db-path', `${directory}/data`, '--activate'],
      ...['--out', `${directory}/recovered`, '--to-sequence', String(sequence)],
    );
    if (code !== 0) throw new Error(`the recovery ended with ${String(code)}: ${stderr}`);
    this.acknowledged = [];
    await this.#serve();
  }

  /** Follows changes as an application does. */
  follow(options: WatcherOptions = {}): Watcher {
    const { start = FROM_THE_BEGINNING, collection = 'c', where, slowMs, isRaw } = options;
    const messages: WatchResponse[] = [];
    const { signal } = this.#watching;
    let isEnded = false;
    const watch = async (): Promise<MoltenError | undefined> => {
      const target = { collection, ...(where === undefined ? {} : { where }) };
      const shape = { includePrevious: true, encoding: DocumentEncoding.JSON };
      try {
        const request = { targets: [target], ...shape, start };
        const told = isRaw === true ? this.#raw(request) : this.client.watch(request, { signal });
        for await (const message of told) {
          messages.push(message);
          if (slowMs !== undefined) await wait(slowMs);
          const shown = [...message.changes, ...message.documents];
          isEnded ||= shown.some(({ key }) => key === END);
          // An initial state that has it is complete only with CURRENT.
          if (isEnded && COMPLETE.includes(message.kind)) break;
        }
        return undefined;
      } catch (error) {
        return toMoltenError(error);
      }
    };
    const watching = watch();
    return {
      messages,
      ended: () => watching,
      async hasBegun() {
        while (messages.every(({ changes }) => changes.length === 0)) await wait(10);
      },
      async told() {
        const error = await watching;
        if (error !== undefined) throw error;
        return messages;
      },
    };
  }

  /** Stops the writers and writes once more; everything before that must reach every watcher. */
  async finish(writers: readonly Promise<void>[]): Promise<void> {
    await this.quiet(writers);
    await this.end();
  }

  /** Stops the writers. */
  async quiet(writers: readonly Promise<void>[]): Promise<void> {
    this.#isOver = true;
    await Promise.all(writers);
  }

  /** Writes once more. */
  async end(): Promise<void> {
    const end = { collection: 'c', key: END, body: toBody({ n: 500 }) };
    await this.direct.documents.setDocument(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#watching.abort();
    await this.#server[Symbol.asyncDispose]();
    await this.#proxy[Symbol.asyncDispose]();
  }

  /** Resumes by the last token, and leaves nothing out but what says that it has begun. */
  async *#raw(request: MessageInitShape<typeof WatchRequestSchema>): AsyncGenerator<WatchResponse> {
    const service = watchClient(this.#proxy.url, this.#token);
    const { signal } = this.#watching;
    let last = '';
    while (!signal.aborted) {
      const start = last === '' ? request.start : ({ case: 'resumeToken', value: last } as const);
      try {
        const told = service.watch({ ...request, ...(start && { start }) }, { signal });
        for await (const message of told) {
          last = message.resumeToken;
          yield* [message].filter(({ kind }) => TOLD.includes(kind));
        }
      } catch {
        await wait(50);
      }
    }
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    this.#proxy.target = undefined;
    await this.#server.stop(signal);
  }

  /** As what runs it does: a server that does not reach its database ends, and is started again. */
  async #serve(): Promise<void> {
    for (let refused = 0; ; refused++) {
      try {
        this.#server = await serve(this.#options);
        break;
      } catch (error) {
        if (this.#options.database === undefined || refused === RESTARTS_MAX) throw error;
        await wait(RESTART_MS);
      }
    }
    this.#proxy.target = portOf(this.#server);
  }

  async #writeOnce(): Promise<void> {
    const { documents } = this.client;
    const kind = this.#random.below(10);
    const [key, n] = [this.#key(), this.#random.below(1000)];
    if (kind < 2) {
      const { result } = await documents.deleteDocument({ collection: 'c', key });
      if (result?.deleted === true) this.#note([result], [undefined]);
    } else if (kind < 4) {
      const keys = [...new Set([this.#key(), this.#key(), this.#key()])];
      await this.#writeBatch(keys.map((one, at) => [one, (n + at) % 1000]));
    } else {
      const body = toBody({ n });
      const { result } = await documents.setDocument({ collection: 'c', key, body });
      if (result !== undefined) this.#note([result], [n]);
    }
  }

  async #writeBatch(pairs: readonly (readonly [string, number])[]): Promise<void> {
    const writes = pairs.map(([key, n]) => ({ key, body: toBody({ n }) }));
    const { results } = await this.client.documents.batchSetDocuments({ collection: 'c', writes });
    this.#note(
      results,
      pairs.map(([, n]) => n),
    );
  }

  #key(): string {
    return `k${String(this.#random.below(KEYS))}`;
  }

  #note(results: readonly WriteResult[], numbers: readonly (number | undefined)[]): void {
    const commit = results[0]?.sequence ?? 0n;
    for (const [at, { sequence, collection, key }] of results.entries()) {
      this.acknowledged.push({ sequence, collection, key, n: numbers[at], commit });
    }
  }
}

function serve({ directory, database }: FailingServerOptions): Promise<ServeProcess> {
  const { MOLTENDB_ENCRYPTION_KEY: _, ...secrets } = SECRETS;
  return startServe({
    args: [
      ...['--db-path', `${directory}/data`, '--port', '0', '--log-level', 'silent'],
      ...(database === undefined ? [] : ['--storage-url', database.url, '--disable-encryption']),
    ],
    variables:
      database === undefined
        ? SECRETS
        : { ...secrets, MOLTENDB_STORAGE_PASSWORD: database.password },
  });
}

function portOf({ url }: ServeProcess): number {
  return Number(new URL(url).port);
}
