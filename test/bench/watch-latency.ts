/** From the answer to a write until its event is with whoever watches. */
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

import { toBody, type MoltenClient } from '../../src/client/index.ts';

/** Where watches are opened. */
export interface WatchedServer {
  readonly url: string;
  readonly token: string;
  readonly client: MoltenClient;
}

/** How long events took. */
export interface WatchLatency {
  readonly watchers: number;
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** How many watch where, and what is written. */
export interface WatchLatencyOptions {
  readonly watchers: number;
  readonly watched: WatchedServer;
  /** Of the same server, or of another one of the same store. */
  readonly writer: MoltenClient;
  readonly events: number;
  readonly perSecond: number;
  /** Called when all watch and nothing is written yet. */
  readonly onWatched?: () => Promise<void>;
}

/** A stream of lines that hands over each change's `n` the moment it is there. */
export function openWatcher(
  { url, token, query }: { readonly url: string; readonly token: string; readonly query: string },
  onNumber: (n: number) => void,
): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${url}/v1/watch?${query}`,
      { headers: { authorization: `Bearer ${token}` }, agent: false },
      (response) => {
        let rest = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          const lines = (rest + text).split('\n');
          rest = lines.pop() ?? '';
          resolve(() => call.destroy());
          for (const line of lines) {
            for (const [, n] of line.matchAll(/"fields":\{"n":(\d+)/g)) onNumber(Number(n));
          }
        });
      },
    );
    call.on('error', reject);
    call.end();
  });
}

/** Writes one document again and again. */
export async function measureWatchLatency(options: WatchLatencyOptions): Promise<WatchLatency> {
  const { watchers, watched, writer, events } = options;
  const latencies: number[] = [];
  const acknowledged = new Map<number, number>();
  const pending: [number, number][] = [];
  const closers: (() => void)[] = [];
  const note = (n: number): void => {
    const at = performance.now();
    const start = acknowledged.get(n);
    if (start === undefined) pending.push([n, at]);
    else latencies.push(at - start);
  };
  for (let at = 0; at < watchers; at++) {
    closers.push(await openWatcher({ ...watched, query: 'collection=bench' }, note));
  }
  await wait(500);
  await options.onWatched?.();
  for (let n = 0; n < events; n++) {
    await writer.documents.setDocument({
      ...{ collection: 'bench', key: 'one', body: toBody({ n }) },
    });
    acknowledged.set(n, performance.now());
    await wait(1000 / options.perSecond);
  }
  for (let look = 0; look < 100 && latencies.length + pending.length < watchers * events; look++) {
    await wait(50);
  }
  // An event may be there before the answer to its write.
  for (const [n, at] of pending) latencies.push(Math.max(0, at - (acknowledged.get(n) ?? at)));
  for (const close of closers) close();
  latencies.sort((a, b) => a - b);
  const part = (share: number): number =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 100) / 100;
  return { watchers, events: latencies.length, p50Ms: part(0.5), p99Ms: part(0.99) };
}
