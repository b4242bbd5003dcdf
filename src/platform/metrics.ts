/**
 * Counters, gauges and histograms in the Prometheus text format (version 0.0.4). Labels come from closed
 * sets, never from what a caller sends, and every metric has a bound on its series all the same.
 */

/** Label values by label name. */
export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  add(labels: Labels, amount?: number): void;
}

/** Durations sorted into buckets. */
export interface Histogram {
  observe(labels: Labels, value: number): void;
}

/** All metrics of a process. */
export interface Metrics {
  counter(name: string, help: string): Counter;
  /** Buckets are upper bounds, ascending, in the unit of the name. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  /** A value read when it is asked for. */
  gauge(name: string, help: string, read: () => number): void;
  /** The text a scraper gets. */
  render(): string;
}

/** More series than this are counted together as `overflow="true"`. */
const SERIES_MAX = 1000;
const OVERFLOW: Labels = { overflow: 'true' };

/** Creates an empty set of metrics. */
export function createMetrics(): Metrics {
  const families: (() => string)[] = [];
  return {
    counter(name, help) {
      const series = createSeries<{ value: number }>(() => ({ value: 0 }));
      families.push(() => {
        const lines = series
          .all()
          .map(([labels, { value }]) => `${name}${text(labels)} ${String(value)}`);
        return family({ name, help, type: 'counter', lines });
      });
      return {
        add(labels, amount = 1) {
          series.of(labels).value += amount;
        },
      };
    },
    histogram(name, help, buckets) {
      const series = createSeries(() => ({ counts: buckets.map(() => 0), sum: 0, count: 0 }));
      families.push(() => {
        const lines = series
          .all()
          .flatMap(([labels, { counts, sum, count }]) => [
            ...buckets.map(
              (le, at) =>
                `${name}_bucket${text({ ...labels, le: String(le) })} ${String(counts[at] ?? 0)}`,
            ),
            `${name}_bucket${text({ ...labels, le: '+Inf' })} ${String(count)}`,
            `${name}_sum${text(labels)} ${String(sum)}`,
            `${name}_count${text(labels)} ${String(count)}`,
          ]);
        return family({ name, help, type: 'histogram', lines });
      });
      return {
        observe(labels, value) {
          const one = series.of(labels);
          one.sum += value;
          one.count += 1;
          buckets.forEach((bound, at) => {
            if (value <= bound) one.counts[at] = (one.counts[at] ?? 0) + 1;
          });
        },
      };
    },
    gauge(name, help, read) {
      families.push(() =>
        family({ name, help, type: 'gauge', lines: [`${name} ${String(read())}`] }),
      );
    },
    render: () => families.map((write) => write()).join(''),
  };
}

interface Series<T> {
  of(labels: Labels): T;
  all(): readonly (readonly [Labels, T])[];
}

function createSeries<T>(make: () => T): Series<T> {
  const series = new Map<string, readonly [Labels, T]>();
  const of = (labels: Labels): T => {
    const name = text(labels);
    const found = series.get(name);
    if (found !== undefined) return found[1];
    if (series.size >= SERIES_MAX && labels !== OVERFLOW) return of(OVERFLOW);
    const made = make();
    series.set(name, [labels, made]);
    return made;
  };
  return { of, all: () => [...series.values()] };
}

function text(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escape(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly lines: readonly string[];
}

function family({ name, help, type, lines }: Family): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n');
}
