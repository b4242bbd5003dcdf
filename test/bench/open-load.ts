/**
 * Load that does not wait for its answers: requests begin when they are due, whatever became of those
 * before, and their time counts from then on. One request at a time on each of many connections of
 * HTTP/1.1; of answers only the status and the length are looked at, so that the load itself costs little.
 */
import { connect, type Socket } from 'node:net';

/** One request, ready to be sent. */
export type RequestBytes = () => Buffer;

/** How much, how long, of what. */
export interface OpenLoad {
  readonly port: number;
  readonly request: RequestBytes;
  readonly seconds: number;
  /** Requests in a second; absent: as many as `connections` do one after the other. */
  readonly rate?: number;
  readonly connections: number;
}

/** What became of it. */
export interface LoadResult {
  readonly offeredPerSecond: number;
  /** Answered with 2xx before the end: of callers that wait, as many requests are under way then as were when it began. */
  readonly goodPerSecond: number;
  /** Answered with 503. */
  readonly refusedPerSecond: number;
  /** Any other answer, or none. */
  readonly failures: number;
  /** Of those answered with 2xx, those after the end among them, from when they were due. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answered with 2xx before the end, in a second, within so many milliseconds. */
  goodWithin(boundMs: number): number;
}

const HEAD_END = '\r\n\r\n';
const PROBE = Buffer.from('GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n');
const TICK_MS = 1;
const DRAIN_MS = 3000;

/** Runs it; the answers still awaited at the end are given three seconds. */
export function runLoad(load: OpenLoad): Promise<LoadResult> {
  return new Load(load).run();
}

class Load {
  readonly #options: OpenLoad;
  readonly #idle: Client[] = [];
  readonly #all = new Set<Client>();
  /** When requests were due that wait for a connection. */
  readonly #due: number[] = [];
  readonly #goodMs: number[] = [];
  /** The same of answers after the end. */
  readonly #lateMs: number[] = [];
  #offered = 0;
  #refused = 0;
  #failures = 0;
  #isOver = false;

  constructor(options: OpenLoad) {
    this.#options = options;
  }

  async run(): Promise<LoadResult> {
    const { seconds, rate, connections } = this.#options;
    await this.#openAll();
    const startMs = performance.now();
    const untilMs = startMs + seconds * 1000;
    if (rate === undefined) for (let at = 0; at < connections; at++) this.#add(startMs);
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const nowMs = performance.now();
        if (nowMs >= untilMs) {
          clearInterval(timer);
          resolve();
          return;
        }
        if (rate === undefined) return;
        const target = ((nowMs - startMs) * rate) / 1000;
        while (this.#offered < target) this.#add(startMs + (this.#offered * 1000) / rate);
      }, TICK_MS);
    });
    this.#isOver = true;
    await this.#drain();
    for (const client of this.#all) client.close();
    this.#failures += this.#all.size - this.#idle.length + this.#due.length;
    return this.#result(seconds);
  }

  /** Every connection is taken, and has been answered once, before anything counts. */
  async #openAll(): Promise<void> {
    for (let client = this.#open(); client !== undefined; client = this.#open()) {
      const opened = client;
      await new Promise((resolve) => {
        opened.send(PROBE, resolve);
      });
      this.#idle.push(opened);
    }
  }

  #add(dueMs: number): void {
    this.#offered += 1;
    this.#due.push(dueMs);
    this.#pump();
  }

  #pump(): void {
    while (this.#due.length > 0) {
      const client = this.#idle.pop() ?? this.#open();
      const dueMs = client && this.#due.shift();
      if (client === undefined || dueMs === undefined) return;
      client.send(this.#options.request(), (status) => {
        this.#ended(status, performance.now() - dueMs);
        if (status !== undefined) this.#idle.push(client);
        if (this.#options.rate === undefined && !this.#isOver) this.#add(performance.now());
        else this.#pump();
      });
    }
  }

  #open(): Client | undefined {
    if (this.#all.size >= this.#options.connections) return undefined;
    const client = openClient(this.#options.port, () => {
      this.#forget(client);
    });
    this.#all.add(client);
    return client;
  }

  /** The server ends connections that were silent for long. */
  #forget(client: Client): void {
    this.#all.delete(client);
    const at = this.#idle.indexOf(client);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  #ended(status: number | undefined, ms: number): void {
    if (status !== undefined && status >= 200 && status < 300) {
      (this.#isOver ? this.#lateMs : this.#goodMs).push(ms);
    } else if (status === 503) {
      this.#refused += 1;
    } else {
      this.#failures += 1;
    }
  }

  async #drain(): Promise<void> {
    const untilMs = performance.now() + DRAIN_MS;
    const isDone = (): boolean => this.#idle.length === this.#all.size && this.#due.length === 0;
    while (!isDone() && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #result(seconds: number): LoadResult {
    const inside = this.#goodMs;
    const sorted = [...inside, ...this.#lateMs].sort((a, b) => a - b);
    const part = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
    return {
      offeredPerSecond: Math.round(this.#offered / seconds),
      goodPerSecond: Math.round(inside.length / seconds),
      refusedPerSecond: Math.round(this.#refused / seconds),
      failures: this.#failures,
      ...{ p50Ms: Math.round(part(0.5) * 10) / 10, p99Ms: Math.round(part(0.99) * 10) / 10 },
      goodWithin: (boundMs) => inside.filter((ms) => ms <= boundMs).length / seconds,
    };
  }
}

/** A connection with at most one request on it. */
interface Client {
  /** The status of the answer; undefined: the connection ended before it. */
  send(bytes: Buffer, done: (status: number | undefined) => void): void;
  close(): void;
}

function openClient(port: number, onEnd: () => void): Client {
  const socket: Socket = connect(port, '127.0.0.1').setNoDelay(true);
  let text = '';
  let done: ((status: number | undefined) => void) | undefined;
  const finish = (status: number | undefined): void => {
    const told = done;
    done = undefined;
    text = '';
    told?.(status);
  };
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const head = text.indexOf(HEAD_END);
    if (head === -1) return;
    const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? NaN);
    // An answer in chunks ends with an empty one.
    const isWhole = Number.isNaN(length)
      ? text.endsWith('\r\n0\r\n\r\n')
      : text.length >= head + HEAD_END.length + length;
    if (isWhole) finish(Number(text.slice(9, 12)));
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    onEnd();
    finish(undefined);
  });
  return {
    send(bytes, callback) {
      done = callback;
      socket.write(bytes);
    },
    close: () => socket.destroy(),
  };
}
