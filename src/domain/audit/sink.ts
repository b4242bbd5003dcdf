import { isSame } from '../../platform/secrets.ts';
import { delay } from '../../platform/timers.ts';
import type { Chain } from './chain.ts';
import { createFollowers, type Followers } from './follow.ts';
import { bodyOf, macOf, type AuditRecord } from './record.ts';
import { openSinkFile, type SinkFile } from './sink-file.ts';
import { AUDIT_STATE } from './state.ts';

/** Copies every record to a file. It reads from the store, so that nobody waits for the file. */
export interface Sink extends AsyncDisposable {
  /** Tells that there are more records. */
  wake(): void;
}

/** What a sink needs. */
export interface SinkParts {
  readonly chain: Chain;
  readonly path: string;
  /** Milliseconds before another attempt. */
  readonly retryMs: number;
  readonly onFailure: (error: unknown) => void;
}

/** The key of the place in the chain that the file has reached, for when a new file is empty. */
const POSITION = 'file';
/** How long the last records may take to get into the file when the server stops, in milliseconds. */
const FINISH_MS = 2000;

/** Starts to copy, from where the file ended. */
export function startSink(parts: SinkParts): Sink {
  return new FollowingSink(parts);
}

class FollowingSink implements Sink {
  readonly #parts: SinkParts;
  readonly #followers: Followers;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #file: SinkFile | undefined;
  /** The number of the last record in the file; undefined: not known yet. */
  #written: number | undefined;

  constructor(parts: SinkParts) {
    this.#parts = parts;
    this.#followers = createFollowers(parts.chain);
    this.#running = this.#run();
  }

  wake(): void {
    this.#followers.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { chain, onFailure } = this.#parts;
    const finishing = new AbortController();
    await Promise.race([this.#finished(finishing.signal), delay(FINISH_MS, finishing.signal)]);
    finishing.abort();
    this.#stopping.abort();
    await this.#running;
    await this.#close();
    if (this.#written !== undefined) {
      await savePosition(chain, this.#parts.path, this.#written).catch(onFailure);
    }
  }

  /** Resolves when all that is in the store is in the file. */
  async #finished(signal: AbortSignal): Promise<void> {
    const { chain } = this.#parts;
    while (!signal.aborted && (this.#written ?? 0) < chain.ends().end.number) {
      await delay(5, signal);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#copy();
      } catch (error) {
        this.#parts.onFailure(error);
        await this.#close();
        await delay(this.#parts.retryMs, signal);
      }
    }
  }

  async #copy(): Promise<void> {
    const start = await this.#open();
    for await (const page of this.#followers.pages(start, this.#stopping.signal)) {
      await this.#append(page);
    }
  }

  async #append(page: readonly AuditRecord[]): Promise<void> {
    if (this.#file === undefined || (await this.#file.isMoved())) {
      await this.#close();
      this.#file = await openSinkFile(this.#parts.path);
    }
    await this.#file.append(page.map((record) => `${bodyOf(record)}\n`).join(''));
    this.#written = page.at(-1)?.number ?? this.#written;
  }

  /** Opens the file; returns the number after which to go on. */
  async #open(): Promise<number> {
    const { chain, path } = this.#parts;
    this.#file = await openSinkFile(path);
    const reached = this.#file.lastNumber ?? this.#written ?? (await readPosition(chain, path));
    // A store that was taken back goes on with numbers that the file has already.
    this.#written = Math.min(reached, chain.ends().end.number);
    return this.#written;
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(this.#parts.onFailure);
  }
}

async function readPosition({ engine, key }: Chain, path: string): Promise<number> {
  const [document] = await engine.get(AUDIT_STATE, [POSITION]);
  if (document === undefined) return 0;
  const { text, mac } = JSON.parse(document.body) as {
    readonly text: string;
    readonly mac: string;
  };
  if (!isSame(macOf(key, 'file/1', text), mac)) return 0;
  const position = JSON.parse(text) as { readonly path: string; readonly number: number };
  return position.path === path ? position.number : 0;
}

async function savePosition({ engine, key }: Chain, path: string, number: number): Promise<void> {
  const text = JSON.stringify({ path, number });
  const body = JSON.stringify({ text, mac: macOf(key, 'file/1', text) });
  await engine.transact({ durability: 'async' }, (transaction) => {
    transaction.put({ collection: AUDIT_STATE, key: POSITION, body });
  });
}
