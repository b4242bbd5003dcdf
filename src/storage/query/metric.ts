import { DomainError } from '../../errors/domain-error.ts';
import type { Json } from '../types.ts';
import { resolve, type Candidate } from './candidate.ts';
import { compareValues } from './compare.ts';
import { canonicalText } from './encode.ts';
import type { Metric } from './query.ts';

/** One figure while it is computed. */
export interface MetricState {
  readonly name: string;
  add(candidate: Candidate): void;
  figure(): Json;
}

/** Takes one value, `undefined` for a missing one, and answers the figure so far. */
interface Accumulator {
  readonly add: (value: Json | undefined) => void;
  readonly figure: () => Json;
}

/** Called with every text that stays held, to bound their sum. */
export type Hold = (text: string) => void;

/** Creates the state of one metric. `distinctMax` bounds the values of `distinct`. */
export function createMetric(metric: Metric, distinctMax: number, hold: Hold): MetricState {
  const { name, path } = metric;
  const accumulator = createAccumulator(metric, distinctMax, hold);
  return {
    name,
    add: (candidate) => {
      // A count without a path counts documents: `true` stands for each, since null would not count.
      accumulator.add(path === undefined ? true : resolve(path, candidate));
    },
    figure: accumulator.figure,
  };
}

function createAccumulator(metric: Metric, distinctMax: number, hold: Hold): Accumulator {
  switch (metric.kind) {
    case 'count':
      return createCount();
    case 'sum':
      return createSum((sum) => finite(sum));
    case 'avg':
      return createSum((sum, count) => (count === 0 ? null : finite(sum / count)));
    case 'min':
      return createExtreme(-1);
    case 'max':
      return createExtreme(1);
    case 'distinct':
      return createDistinct(metric.name, distinctMax, hold);
  }
}

function createCount(): Accumulator {
  let count = 0;
  return {
    add(value) {
      if (value !== undefined && value !== null) count++;
    },
    figure: () => count,
  };
}

/**
 * Sums with Neumaier's compensation (A. Neumaier, ZAMM 54, 1974), so that the figure hardly depends on
 * the order in which documents come. Only numbers count.
 */
function createSum(figureOf: (sum: number, count: number) => Json): Accumulator {
  let sum = 0;
  let compensation = 0;
  let count = 0;
  return {
    add(value) {
      if (typeof value !== 'number') return;
      count++;
      const next = sum + value;
      const lost = Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
      compensation += Number.isFinite(next) ? lost : 0;
      sum = next;
    },
    figure: () => figureOf(sum + compensation, count),
  };
}

/** JSON has no infinity: a sum past the largest double is null. */
function finite(value: number): Json {
  return Number.isFinite(value) ? value : null;
}

function createExtreme(sign: 1 | -1): Accumulator {
  let best: Json = null;
  return {
    add(value) {
      if (value === undefined || value === null) return;
      if (best === null || sign * compareValues(value, best) > 0) best = value;
    },
    figure: () => best,
  };
}

function createDistinct(name: string, distinctMax: number, hold: Hold): Accumulator {
  const values = new Map<string, Json>();
  return {
    add(value) {
      if (value === undefined) return;
      const id = canonicalText(value);
      if (values.has(id)) return;
      if (values.size >= distinctMax) throw tooManyDistinct(name, distinctMax);
      hold(id);
      values.set(id, value);
    },
    figure: () => [...values.values()].sort(compareValues),
  };
}

function tooManyDistinct(name: string, limit: number): DomainError {
  return new DomainError(
    'QUERY_LIMIT_EXCEEDED',
    `metric '${name}' has more than ${String(limit)} distinct values; filter more or count instead`,
    { metadata: { metric: name, limit: String(limit) } },
  );
}
