import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import { invariant } from '../errors/invariant.ts';
import { BUCKETS, METRICS, type MetricName, type MetricSpec } from './metric-catalogue.ts';

/** Label values by label name. */
export type Labels = Readonly<Record<string, string>>;

/** One value under its labels. */
export type Sample = readonly [labels: Labels, value: number];

/** What is read when a scraper asks: one value, one for each of some labels, or none now. */
export type Reading = number | undefined | readonly Sample[];

/** Takes durations or sizes. */
export type Observe = (value: number, labels?: Labels) => void;

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

/** Creates a set of metrics of its own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
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
      // The library calls `collect` with the metric as `this` before it writes it.
      if (kind === 'counter') {
        new Counter({
          ...{ ...options, registers: [registry] },
          async collect() {
            const samples = samplesOf(await read());
            this.reset();
            for (const [labels, value] of samples) this.inc(labels, value);
          },
        });
        return;
      }
      invariant(kind === 'gauge', `${name} is not read`);
      new Gauge({
        ...{ ...options, registers: [registry] },
        async collect() {
          const samples = samplesOf(await read());
          this.reset();
          if (samples.length === 0) this.remove();
          for (const [labels, value] of samples) this.set(labels, value);
        },
      });
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function samplesOf(reading: Reading): readonly Sample[] {
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
