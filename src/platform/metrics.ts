import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import { invariant } from '../errors/invariant.ts';
import { BUCKETS, METRICS, type MetricName, type MetricSpec } from './metric-catalogue.ts';
import { within } from './timers.ts';

/** Label values by label name. */
export type Labels = Readonly<Record<string, string>>;

/** One value under its labels. */
export type Sample = readonly [labels: Labels, value: number];

/** What is read when a scraper asks: one value, one for each of some labels, or none now. */
export type Reading = number | undefined | readonly Sample[];

/** Takes durations or sizes. */
export type Observe = (value: number, labels?: Labels) => void;

/** What becomes of metrics that cannot be read. */
export interface MetricsOptions {
  /** Told of each, once for as long as that lasts. */
  readonly onFailure?: (name: MetricName, error: unknown) => void;
  /** How long a reading may take. Default three seconds, for scrapers give up after ten. */
  readonly readingMsMax?: number;
}

const READING_MS_MAX = 3000;

/** All metrics of one server. Most are read only when they are asked for, so that they cost nothing. */
export interface Metrics {
  /** Where values of a histogram go. Each metric is claimed once. */
  histogram(name: MetricName): Observe;
  /** Reads a counter or a gauge when it is asked for; a counter must never go down. */
  read(name: MetricName, read: () => Reading | Promise<Reading>): void;
  /** The text a scraper gets. */
  render(): Promise<string>;
  /** The content type of that text. */
  readonly contentType: string;
}

/**
 * Creates a set of metrics of its own. One that cannot be read in time has no sample, and the others are told
 * all the same.
 */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  const samplesOf = createSampler(registry, options);
  return {
    histogram(name) {
      const { buckets = 'seconds', ...options } = optionsOf(name, 'histogram');
      const bounds = [...BUCKETS[buckets]];
      const made = new Histogram({ ...options, buckets: bounds, registers: [registry] });
      return (value, labels = {}) => {
        made.observe(labels, value);
      };
    },
    read(name, read) {
      const { kind, ...options } = optionsOf(name);
      const made = { ...options, registers: [registry] };
      // The library calls `collect` with the metric as `this` before it writes it.
      if (kind === 'counter') {
        new Counter({
          ...made,
          async collect() {
            const samples = await samplesOf(options.name, read);
            this.reset();
            if (samples === undefined) this.remove({});
            for (const [labels, value] of samples ?? []) this.inc(labels, value);
          },
        });
        return;
      }
      invariant(kind === 'gauge', `${name} is not read`);
      new Gauge({
        ...made,
        async collect() {
          const samples = (await samplesOf(options.name, read)) ?? [];
          this.reset();
          if (samples.length === 0) this.remove({});
          for (const [labels, value] of samples) this.set(labels, value);
        },
      });
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** The samples of one metric; undefined: it could not be read. Never rejects. */
type Sampler = (
  name: MetricName,
  read: () => Reading | Promise<Reading>,
) => Promise<readonly Sample[] | undefined>;

function createSampler(registry: Registry, options: MetricsOptions): Sampler {
  const { onFailure, readingMsMax = READING_MS_MAX } = options;
  const failures = new Counter({
    ...optionsOf('molten_metric_failures_total', 'counter'),
    registers: [registry],
  });
  const failing = new Set<MetricName>();
  const late = (): Error => new Error(`no answer within ${String(readingMsMax)} ms`);
  return async (name, read) => {
    try {
      const reading = Promise.resolve(read());
      const samples = toSamples(await within(reading, readingMsMax, late));
      failing.delete(name);
      return samples;
    } catch (error) {
      failures.inc();
      if (!failing.has(name)) onFailure?.(name, error);
      failing.add(name);
      return undefined;
    }
  };
}

function toSamples(reading: Reading): readonly Sample[] {
  if (reading === undefined) return [];
  return typeof reading === 'number' ? [[{}, reading]] : reading;
}

interface MetricOptions extends Pick<MetricSpec, 'kind' | 'help' | 'buckets'> {
  readonly name: MetricName;
  readonly labelNames: string[];
}

function optionsOf(name: MetricName, wanted?: MetricSpec['kind']): MetricOptions {
  const { labels, ...spec }: MetricSpec = METRICS[name];
  invariant(wanted === undefined || spec.kind === wanted, `${name} is a ${spec.kind}`);
  return { ...spec, name, labelNames: [...labels] };
}
