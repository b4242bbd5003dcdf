/** A store of MOLTEN_DOCUMENTS documents (default 100,000) of 350 bytes, and what is measured of it. */
import type { StorageEngine } from '../../src/storage/engine.ts';

export const DOCUMENTS: number = Number.parseInt(process.env['MOLTEN_DOCUMENTS'] ?? '100000', 10);
export const PASSWORD = 'an encryption key for benchmarks';
export const BODY: string = JSON.stringify({ n: 5, name: 'a document', text: 'x'.repeat(300) });
const BATCH = 1000;

/** What was measured, by name; times in milliseconds. */
export const results: Record<string, number> = {};

/** Does a piece of work and notes how long it took. */
export async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const start = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(start);
  const ms = Math.round(performance.now() - startMs);
  // On a busy machine this is what can be compared.
  const processorMs = Math.round((user + system) / 1000);
  results[name] = ms;
  results[`${name}, processor`] = processorMs;
  process.stderr.write(
    `${name.padEnd(44)} ${String(ms)} ms, ${String(processorMs)} of them busy\n`,
  );
  return value;
}

/** Writes all documents, a thousand in a commit. */
export async function fill(engine: StorageEngine): Promise<void> {
  for (let at = 0; at < DOCUMENTS; at += BATCH) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let n = at; n < at + BATCH; n++) {
        transaction.put({ collection: 'bench', key: `k${String(n)}`, body: BODY });
      }
    });
  }
}

/** One write after the other until told to stop; the 99th percentile of their times. */
export async function writeP99(engine: StorageEngine, isOver: () => boolean): Promise<number> {
  const latencies: number[] = [];
  for (let n = 0; !isOver(); n++) {
    const startMs = performance.now();
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.put({ collection: 'load', key: `k${String(n % 1000)}`, body: BODY });
    });
    latencies.push(performance.now() - startMs);
  }
  latencies.sort((a, b) => a - b);
  return Math.round((latencies[Math.floor(latencies.length * 0.99)] ?? 0) * 100) / 100;
}
