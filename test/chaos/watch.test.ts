/**
 * Watches under faults: connections cut at random, the server killed (SIGKILL) and paused (SIGSTOP) while
 * writers write and watchers watch. What the watchers got must keep the nine properties, however it
 * came. The seed is printed; MOLTEN_SEED replays the same faults and writes.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import type { JsonObject } from '@bufbuild/protobuf';
import { DocumentEncoding, type WriteResult } from '../../gen/molten/v1/documents_pb.ts';
import type { WatchResponse } from '../../gen/molten/v1/watch_pb.ts';
import {
  createMoltenClient,
  toBody,
  withRetries,
  type MoltenClient,
} from '../../src/client/index.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { createRandom, type Random } from '../support/random.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import {
  filterViolations,
  violationsOf,
  type AcknowledgedWrite,
} from '../support/watch-properties.ts';

const WRITERS = 8;
const WATCHERS = 4;
const KEYS = 40;
const ROUNDS = Number(process.env['MOLTEN_FAULTS'] ?? 8);
const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
  MOLTENDB_ENCRYPTION_KEY: 'an encryption key for tests',
};

describe('watching a server that fails', () => {
  it('keeps the nine properties', async () => {
    const seed = Number(process.env['MOLTEN_SEED'] ?? randomInt(2 ** 31));
    process.stdout.write(`MOLTEN_SEED=${String(seed)}\n`);
    using directory = createTemporaryDirectory();
    await using scene = await openScene(directory.path, createRandom(seed));
    const watchers = Array.from({ length: WATCHERS }, () => follow(scene.client));
    const filtered = follow(scene.client, { n: { $gte: 500 } });
    const writers = Array.from({ length: WRITERS }, () => scene.write());
    for (let round = 0; round < ROUNDS; round++) await scene.fault();
    const last = await scene.finish(writers);
    const histories = await Promise.all(watchers.map((one) => one.until(last)));
    expect(scene.acknowledged.length).toBeGreaterThan(100);
    for (const history of histories) {
      expect(violationsOf(history, scene.acknowledged)).toEqual([]);
    }
    const part = await filtered.until(last);
    expect(filterViolations(histories[0] ?? [], part, (n) => n >= 500)).toEqual([]);
  }, 120_000);
});

/** A server behind a relay, a client of the relay, and what its writers know to be written. */
class Scene implements AsyncDisposable {
  readonly client: MoltenClient;
  readonly acknowledged: AcknowledgedWrite[] = [];
  readonly #random: Random;
  readonly #proxy: Proxy;
  readonly #start: () => Promise<ServeProcess>;
  #server: ServeProcess;
  #isOver = false;

  constructor(parts: {
    readonly client: MoltenClient;
    readonly random: Random;
    readonly proxy: Proxy;
    readonly start: () => Promise<ServeProcess>;
    readonly server: ServeProcess;
  }) {
    this.client = parts.client;
    this.#random = parts.random;
    this.#proxy = parts.proxy;
    this.#start = parts.start;
    this.#server = parts.server;
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

  /** Lets it run for a while, then breaks something. */
  async fault(): Promise<void> {
    await wait(150 + this.#random.below(300));
    const { child } = this.#server;
    switch (this.#random.below(3)) {
      case 0:
        this.#proxy.target = undefined;
        await this.#server.stop('SIGKILL');
        this.#server = await this.#start();
        this.#proxy.target = portOf(this.#server);
        return;
      case 1:
        child.kill('SIGSTOP');
        await wait(400);
        child.kill('SIGCONT');
        return;
      default:
        this.#proxy.cut();
    }
  }

  /** Stops the writers and writes once more; everything before that must reach every watcher. */
  async finish(writers: readonly Promise<void>[]): Promise<bigint> {
    this.#isOver = true;
    await Promise.all(writers);
    const end = { collection: 'c', key: 'end', body: toBody({ n: 500 }) };
    const { result } = await withRetries(() => this.client.documents.setDocument(end));
    return result?.sequence ?? 0n;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#proxy[Symbol.asyncDispose]();
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
      const writes = keys.map((one, at) => ({ key: one, body: toBody({ n: (n + at) % 1000 }) }));
      const { results } = await documents.batchSetDocuments({ collection: 'c', writes });
      this.#note(
        results,
        keys.map((_, at) => (n + at) % 1000),
      );
    } else {
      const body = toBody({ n });
      const { result } = await documents.setDocument({ collection: 'c', key, body });
      if (result !== undefined) this.#note([result], [n]);
    }
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

async function openScene(directory: string, random: Random): Promise<Scene> {
  const start = (): Promise<ServeProcess> =>
    startServe({
      args: ['--db-path', `${directory}/data`, '--port', '0', '--log-level', 'silent'],
      variables: SECRETS,
    });
  const server = await start();
  const proxy = await startProxy();
  proxy.target = portOf(server);
  const login = { username: 'root', password: PASSWORD };
  const { token } = await createMoltenClient({ url: proxy.url }).auth.login(login);
  const client = createMoltenClient({ url: proxy.url, token: () => token, timeoutMs: 5000 });
  return new Scene({ client, random, proxy, start, server });
}

function portOf({ url }: ServeProcess): number {
  return Number(new URL(url).port);
}

interface History {
  /** Everything told, once that reaches a sequence. */
  until(sequence: bigint): Promise<readonly WatchResponse[]>;
}

/** Follows the collection from its beginning, as an application does. */
function follow(client: MoltenClient, where?: JsonObject): History {
  const messages: WatchResponse[] = [];
  const stop = new AbortController();
  let wanted: bigint | undefined;
  const watching = (async () => {
    const target = { collection: 'c', ...(where === undefined ? {} : { where }) };
    const request = {
      ...{ targets: [target], includePrevious: true, encoding: DocumentEncoding.JSON },
      start: { case: 'afterSequence', value: 0n },
    } as const;
    for await (const message of client.watch(request, { signal: stop.signal })) {
      messages.push(message);
      if (wanted !== undefined && message.sequence >= wanted) return;
    }
  })();
  return {
    async until(sequence) {
      wanted = sequence;
      if ((messages.at(-1)?.sequence ?? 0n) >= sequence) stop.abort();
      await watching;
      return messages;
    },
  };
}
