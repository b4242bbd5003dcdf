import { Worker } from 'node:worker_threads';

/**
 * Starts a thread from a module beside this one. `name` is the module without its extension: the sources
 * run as `.ts`, the shipped build as `.js`.
 */
export function startWorker(name: string, workerData: unknown): Worker {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new Worker(new URL(`./${name}${extension}`, import.meta.url), { workerData });
}
