import type { Worker } from 'node:worker_threads';

import { systemClock } from '../../platform/clock.ts';
import type { ReadMessage } from './protocol.ts';
import type { ReaderSettings } from './reader-worker.ts';

/** Starts a thread that answers messages. */
export type StartReader = (settings: ReaderSettings) => Worker;

/** A reader thread as the main thread sees it. */
export interface ReaderThread {
  readonly worker: Worker;
  /** From 1 on. */
  readonly thread: number;
  /** It may not know of all that wait. */
  missesSome: boolean;
  /** Messages that it was told and has not done with. */
  readonly behind: number;
  /** Tells it, with `send` or together with many others before that; the process stays alive until `worker.unref()`. */
  tell(message: ReadMessage): void;
  send(): void;
  /** Whether it has had something to do for more than `HELD_UP_MS` and was done with none of it; while it starts it is not. */
  isHeldUp(nowMs: number): boolean;
}

/** A thread that was done with nothing for as long does not keep others from working. */
export const HELD_UP_MS = 50;
/**
 * Messages that it is told together, at most. Each time it is told it may take the core from the main thread, and caches
 * with it; waiting for more of them would leave it without work where it has a core of its own.
 */
const UNSENT_MAX = 16;

/** Starts one that knows of nothing yet. */
export function startReaderThread(
  start: StartReader,
  settings: Omit<ReaderSettings, 'passed'>,
): ReaderThread {
  const shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  return new CountedThread(start({ ...settings, passed: shared }), settings.thread, shared);
}

class CountedThread implements ReaderThread {
  readonly worker: Worker;
  readonly thread: number;
  missesSome = false;
  /** How many messages it was told, and in memory that it shares, how many of them it has done with; its start is the first. */
  #told = 1;
  readonly #passed: Int32Array;
  readonly #unsent: ReadMessage[] = [];
  /** How many it was done with at the last look, and when that was another number, or nothing. */
  #lastPassed = 0;
  #lastPassedMs = systemClock.monotonic();

  constructor(worker: Worker, thread: number, passed: SharedArrayBuffer) {
    this.worker = worker;
    this.thread = thread;
    this.#passed = new Int32Array(passed);
    worker.unref();
  }

  get behind(): number {
    // The shared number begins anew at 2^31.
    return (this.#told - Atomics.load(this.#passed, 0)) | 0;
  }

  tell(message: ReadMessage): void {
    this.#told += 1;
    // A pending read keeps the process alive, an idle thread does not.
    this.worker.ref();
    this.#unsent.push(message);
    if (this.#unsent.length >= UNSENT_MAX) this.send();
  }

  send(): void {
    if (this.#unsent.length === 0) return;
    if (!this.#hasWork()) this.#lastPassedMs = systemClock.monotonic();
    this.worker.postMessage(this.#unsent.splice(0));
  }

  isHeldUp(nowMs: number): boolean {
    const passed = Atomics.load(this.#passed, 0);
    if (passed === 0 || passed !== this.#lastPassed || !this.#hasWork()) {
      this.#lastPassed = passed;
      this.#lastPassedMs = nowMs;
    }
    return nowMs - this.#lastPassedMs > HELD_UP_MS;
  }

  /** Whether it knows of something that it has not done with. */
  #hasWork(): boolean {
    return this.behind > this.#unsent.length;
  }
}
