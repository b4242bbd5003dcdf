import type { Reason } from '../../errors/reason.ts';
import type { Clock } from '../../platform/clock.ts';
import {
  createDurations,
  createRecentDurations,
  type Durations,
  type RecentDurations,
} from '../../platform/durations.ts';

/** A call that is over. All names are of closed sets. */
export interface EndedCall {
  /** Service, slash, method. */
  readonly method: string;
  readonly protocol: string;
  /** `ok`, or the code of the failure. */
  readonly code: string;
  /** Undefined: it succeeded. */
  readonly reason: Reason | undefined;
  readonly durationMs: number;
}

/** Calls of one method by one protocol that ended with one code. */
export interface CallCount {
  readonly method: string;
  readonly protocol: string;
  readonly code: string;
  readonly count: number;
}

/** How calls of one method did. */
export interface MethodFigures {
  readonly method: string;
  readonly calls: number;
  readonly errors: number;
  /** Since the start. */
  readonly durations: Durations;
  /** Of the last minute. */
  readonly recent: Durations;
}

/** Counts calls: the one source of metrics and statistics, so that both tell the same. */
export interface CallFigures {
  started(): void;
  ended(call: EndedCall): void;
  /** Calls that are not over. */
  readonly running: number;
  counts(): readonly CallCount[];
  /** By name. */
  methods(): readonly MethodFigures[];
  /** Failures by reason. */
  failures(): ReadonlyMap<Reason, number>;
}

/** The code of success. */
export const OK = 'ok';

interface Known {
  calls: number;
  errors: number;
  readonly durations: Durations;
  readonly recent: RecentDurations;
  /** By protocol and code. */
  readonly counts: Map<string, { readonly protocol: string; readonly code: string; count: number }>;
}

/** Creates figures of no calls. */
export function createCallFigures(clock: Clock): CallFigures {
  const known = new Map<string, Known>();
  const failures = new Map<Reason, number>();
  let running = 0;

  function of(method: string): Known {
    const found = known.get(method);
    if (found !== undefined) return found;
    const made: Known = {
      ...{ calls: 0, errors: 0, durations: createDurations(), counts: new Map() },
      recent: createRecentDurations(),
    };
    known.set(method, made);
    return made;
  }

  return {
    get running() {
      return running;
    },
    started() {
      running += 1;
    },
    ended({ method, protocol, code, reason, durationMs }) {
      running -= 1;
      const figures = of(method);
      figures.calls += 1;
      figures.durations.add(durationMs);
      figures.recent.add(durationMs, clock.monotonic());
      const name = `${protocol} ${code}`;
      const count = figures.counts.get(name) ?? { protocol, code, count: 0 };
      count.count += 1;
      figures.counts.set(name, count);
      if (reason === undefined) return;
      figures.errors += 1;
      failures.set(reason, (failures.get(reason) ?? 0) + 1);
    },
    counts: () =>
      [...known].flatMap(([method, { counts }]) =>
        [...counts.values()].map((one) => ({ method, ...one })),
      ),
    methods: () =>
      [...known]
        .map(([method, { calls, errors, durations, recent }]) => ({
          ...{ method, calls, errors, durations, recent: recent.recent(clock.monotonic()) },
        }))
        .sort((a, b) => (a.method < b.method ? -1 : 1)),
    failures: () => failures,
  };
}
