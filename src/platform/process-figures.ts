import { readdirSync } from 'node:fs';
import {
  constants,
  monitorEventLoopDelay,
  performance,
  PerformanceObserver,
} from 'node:perf_hooks';

import { every } from './timers.ts';

/** How the event loop did over a stretch of time. */
export interface EventLoopFigures {
  /** How late it was, in milliseconds. */
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  /** The share of time in which it was busy, 0 to 1. */
  readonly utilization: number;
}

/** Garbage collections of one kind. */
export interface GcFigures {
  readonly kind: string;
  readonly runs: number;
  readonly seconds: number;
}

/** What a process knows of itself. */
export interface ProcessFigures extends Disposable {
  /** Of the last whole ten seconds; of the time since the start before that. */
  eventLoop(): EventLoopFigures;
  gc(): readonly GcFigures[];
  /** User and system time of all threads. */
  cpuSeconds(): number;
  residentBytes(): number;
  heapUsedBytes(): number;
  /** Undefined where the operating system does not tell. */
  openFiles(): number | undefined;
}

const WINDOW_MS = 10_000;
const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;
const MS_PER_SECOND = 1000;
const US_PER_SECOND = 1e6;
const OPEN_FILES = '/proc/self/fd';

const GC_KINDS: readonly (readonly [number, string])[] = [
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak'],
];

interface GcEntry {
  readonly detail: { readonly kind: number };
  readonly duration: number;
}

/** Starts to watch this process. Costs one timer and what Node counts anyway. */
export function watchProcess(): ProcessFigures {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  let start = performance.eventLoopUtilization();
  let last: EventLoopFigures | undefined;
  const look = (): EventLoopFigures => ({
    delayP50Ms: lateness(delays.percentile(50)),
    delayP99Ms: lateness(delays.percentile(99)),
    utilization: performance.eventLoopUtilization(start).utilization,
  });
  const stopTimer = every(WINDOW_MS, () => {
    last = look();
    start = performance.eventLoopUtilization();
    delays.reset();
  });
  const gc = new Map(GC_KINDS.map(([id, kind]) => [id, { kind, runs: 0, seconds: 0 }]));
  const observer = new PerformanceObserver((list) => {
    // Node gives entries of this type a detail with their kind, which its types do not say.
    for (const { detail, duration } of list.getEntries() as unknown as readonly GcEntry[]) {
      const known = gc.get(detail.kind);
      if (known === undefined) continue;
      known.runs += 1;
      known.seconds += duration / MS_PER_SECOND;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    eventLoop: () => last ?? look(),
    gc: () => [...gc.values()],
    cpuSeconds() {
      const { user, system } = process.cpuUsage();
      return (user + system) / US_PER_SECOND;
    },
    residentBytes: () => process.memoryUsage.rss(),
    heapUsedBytes: () => process.memoryUsage().heapUsed,
    openFiles,
    [Symbol.dispose]() {
      stopTimer();
      delays.disable();
      observer.disconnect();
    },
  };
}

/** Node measures from tick to tick; what is beyond the tick is delay. */
function lateness(ns: number): number {
  return Math.max(0, (Number.isFinite(ns) ? ns : 0) / NS_PER_MS - RESOLUTION_MS);
}

function openFiles(): number | undefined {
  try {
    return readdirSync(OPEN_FILES).length;
  } catch {
    return undefined;
  }
}
