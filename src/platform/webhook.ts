import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { lookup } from 'node:dns/promises';

import type { Clock } from './clock.ts';
import { isPrivateAddress } from './private-address.ts';
import { delay, every, type StopTimer } from './timers.ts';

/** Tells another server of what happened, as signed JSON. */
export interface Webhook extends AsyncDisposable {
  /**
   * Queues what has become of a topic. The oldest message gives way when too many wait. The last of each
   * topic that could not be told, or gave way, is told again from time to time, until it is taken or a newer
   * one is: topics are of a closed set.
   */
  send(topic: string, body: object): void;
  /** Attempts so far. */
  deliveries(): { readonly success: number; readonly failure: number };
}

/** Where messages go, and how. */
export interface WebhookOptions {
  readonly url: string;
  /** Signs them. */
  readonly secret: string;
  /** Addresses of private networks and of this machine are taken as well. */
  readonly allowPrivate: boolean;
  readonly clock: Clock;
  /** The wait before the first retry; each is twice as long. Default a second. */
  readonly retryMs?: number;
  /** How often what was not taken is told again. Default a minute. */
  readonly againMs?: number;
  /** Told of a message that was not taken, once, or dropped. */
  readonly onFailure: (problem: string) => void;
}

const WAITING_MAX = 100;
const ATTEMPTS_MAX = 6;
const RETRY_MS = 1000;
const AGAIN_MS = 60_000;
const TIMEOUT_MS = 10_000;
const MS_PER_SECOND = 1000;

/** The header with the time and the signature: `t=<seconds>,v1=<hex of HMAC-SHA-256 over "<t>.<body>">`. */
const SIGNATURE_HEADER = 'x-molten-signature';

/** Opens a webhook. Nothing is sent before there is a message. */
export function openWebhook(options: WebhookOptions): Webhook {
  return new QueuedWebhook(options);
}

interface Message {
  readonly topic: string;
  readonly text: string;
}

/** What has become of a message. */
interface Outcome {
  /** Undefined: it was taken. */
  readonly problem: string | undefined;
  /** Whoever is to be told has answered, whatever that was. */
  readonly isReached: boolean;
}

class QueuedWebhook implements Webhook {
  readonly #options: WebhookOptions;
  readonly #stopping = new AbortController();
  readonly #waiting: Message[] = [];
  /** What could not be told, by topic: the last of each. */
  readonly #untold = new Map<string, string>();
  readonly #stopTimer: StopTimer;
  #isDue = false;
  readonly #counts = { success: 0, failure: 0 };
  #running: Promise<void> | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#stopTimer = every(options.againMs ?? AGAIN_MS, () => {
      this.#isDue = this.#untold.size > 0;
      this.#wake();
    });
  }

  send(topic: string, body: object): void {
    if (this.#stopping.signal.aborted) return;
    this.#waiting.push({ topic, text: JSON.stringify(body) });
    if (this.#waiting.length > WAITING_MAX) this.#drop();
    this.#wake();
  }

  deliveries(): { readonly success: number; readonly failure: number } {
    return { ...this.#counts };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopTimer();
    this.#stopping.abort();
    await this.#running;
  }

  /** Takes the oldest out. It is told later, unless there is something newer to tell of its topic. */
  #drop(): void {
    const oldest = this.#waiting.shift();
    if (oldest === undefined) return;
    const { topic, text } = oldest;
    if (!this.#waiting.some((other) => other.topic === topic)) this.#untold.set(topic, text);
    this.#options.onFailure('too many messages wait; the oldest was dropped');
  }

  #wake(): void {
    if (this.#waiting.length === 0 && !this.#isDue) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#untold.delete(next.topic);
        await this.#deliver(next);
      } else if (this.#isDue) {
        this.#isDue = false;
        await this.#tellAgain();
      } else {
        return;
      }
    }
  }

  /** One attempt each, until one reaches nobody: whoever is away takes none of the others. */
  async #tellAgain(): Promise<void> {
    for (const [topic, text] of [...this.#untold]) {
      const { problem, isReached } = await this.#attempt(text);
      if (!isReached) return;
      // By now there may be something newer.
      const isLast = this.#untold.get(topic) === text;
      if (problem === undefined && isLast) this.#untold.delete(topic);
    }
  }

  async #deliver({ topic, text }: Message): Promise<void> {
    const { retryMs = RETRY_MS, onFailure } = this.#options;
    const { signal } = this.#stopping;
    const isStopping = (): boolean => signal.aborted;
    let problem: string | undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await delay(retryMs * 2 ** (attempt - 1), signal);
      if (isStopping()) return;
      ({ problem } = await this.#attempt(text));
      if (problem === undefined) return;
    }
    // What is there was dropped meanwhile, and is newer.
    if (!this.#untold.has(topic)) this.#untold.set(topic, text);
    onFailure(`not taken in ${String(ATTEMPTS_MAX)} attempts, tried again later: ${problem ?? ''}`);
  }

  async #attempt(text: string): Promise<Outcome> {
    try {
      const status = await post(this.#options, text, this.#stopping.signal);
      const isTaken = status >= 200 && status < 300;
      this.#counts[isTaken ? 'success' : 'failure'] += 1;
      const problem = isTaken ? undefined : `the webhook answered ${String(status)}`;
      return { problem, isReached: true };
    } catch (error) {
      this.#counts.failure += 1;
      return { problem: error instanceof Error ? error.message : String(error), isReached: false };
    }
  }
}

/**
 * Resolves the name once, judges the address, and connects to just that one; the status of the answer.
 * Redirects are not followed.
 */
async function post(options: WebhookOptions, body: string, signal: AbortSignal): Promise<number> {
  const { url, allowPrivate } = options;
  const { hostname, protocol } = new URL(url);
  const { address, family } = await lookup(hostname.replace(/^\[|\]$/g, ''));
  if (!allowPrivate && isPrivateAddress(address)) {
    throw new Error('the name of the webhook leads to a private address');
  }
  const send = protocol === 'https:' ? httpsRequest : httpRequest;
  const request = send(url, {
    ...{ method: 'POST', agent: false, headers: headersOf(options, body) },
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    lookup: (_hostname, { all }, done) => {
      if (all === true) done(null, [{ address, family }]);
      else done(null, address, family);
    },
  });
  return await new Promise<number>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      // What it says is of no interest, and may be of any length.
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.end(body);
  });
}

function headersOf({ secret, clock }: WebhookOptions, body: string): Record<string, string> {
  const seconds = String(Math.floor(clock.now() / MS_PER_SECOND));
  const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    [SIGNATURE_HEADER]: `t=${seconds},v1=${mac}`,
  };
}
