/** Whether a server under load still tells how it is. */
import { setTimeout as wait } from 'node:timers/promises';

import type { LoadedServer } from './mixed-load.ts';

/** To hundredths. */
export const round = (value: number): number => Math.round(value * 100) / 100;
/** Of bytes, to whole ones. */
export const mebibytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);

/** Asks a probe and an operator's call all the while. */
export function watchHealth(server: LoadedServer): { stop(): Promise<object> } {
  const times: number[] = [];
  let failures = 0;
  let residentBytes = 0;
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const startMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${String(server.port)}/healthz`).catch(
        () => null,
      );
      if (answer?.status === 200) times.push(performance.now() - startMs);
      else failures += 1;
      const bytes = await server.residentBytes().catch(() => {
        failures += 1;
        return 0;
      });
      residentBytes = Math.max(residentBytes, bytes);
      await wait(200);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
      const sorted = times.toSorted((a, b) => a - b);
      const p99Ms = round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
      return {
        asked: times.length + failures,
        failures,
        p99Ms,
        residentMiB: mebibytes(residentBytes),
      };
    },
  };
}
