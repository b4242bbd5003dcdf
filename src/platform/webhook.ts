import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { lookup } from 'node:dns/promises';

import type { Clock } from './clock.ts';
import { isPrivateAddress } from './private-address.ts';
import { delay } from './timers.ts';

/** Tells another server of what happened, as signed JSON. */
export interface Webhook extends AsyncDisposable {
  /** Queues a message. The oldest goes when too many wait. */
  send(body: object): void;
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
  /** Told of a message that was given up, or dropped. */
  readonly onFailure: (problem: string) => void;
}

const WAITING_MAX = 100;
const ATTEMPTS_MAX = 6;
const RETRY_MS = 1000;
const TIMEOUT_MS = 10_000;
const MS_PER_SECOND = 1000;

/** The header with the time and the signature: `t=<seconds>,v1=<hex of HMAC-SHA-256 over "<t>.<body>">`. */
const SIGNATURE_HEADER = 'x-molten-signature';

/** Opens a webhook. Nothing is sent before there is a message. */
export function openWebhook(options: WebhookOptions): Webhook {
  return new QueuedWebhook(options);
}

class QueuedWebhook implements Webhook {
  readonly #options: WebhookOptions;
  readonly #stopping = new AbortController();
  readonly #waiting: string[] = [];
  readonly #counts = { success: 0, failure: 0 };
  #running: Promise<void> | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  send(body: object): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift();
      this.#options.onFailure('too many messages wait; the oldest was dropped');
    }
    this.#waiting.push(JSON.stringify(body));
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  deliveries(): { readonly success: number; readonly failure: number } {
    return { ...this.#counts };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let body = this.#waiting.shift(); body !== undefined; body = this.#waiting.shift()) {
      await this.#deliver(body);
      if (this.#stopping.signal.aborted) return;
    }
  }

  async #deliver(body: string): Promise<void> {
    const { retryMs = RETRY_MS, onFailure } = this.#options;
    const { signal } = this.#stopping;
    const isStopping = (): boolean => signal.aborted;
    let problem = '';
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await delay(retryMs * 2 ** (attempt - 1), signal);
      if (isStopping()) return;
      try {
        await post(this.#options, body, signal);
        this.#counts.success += 1;
        return;
      } catch (error) {
        this.#counts.failure += 1;
        problem = error instanceof Error ? error.message : String(error);
      }
    }
    onFailure(`given up after ${String(ATTEMPTS_MAX)} attempts: ${problem}`);
  }
}

/** Resolves the name once, judges the address, and connects to just that one. Redirects are failures. */
async function post(options: WebhookOptions, body: string, signal: AbortSignal): Promise<void> {
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
  const status = await new Promise<number>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      // What it says is of no interest, and may be of any length.
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.end(body);
  });
  if (status < 200 || status >= 300) throw new Error(`the webhook answered ${String(status)}`);
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
