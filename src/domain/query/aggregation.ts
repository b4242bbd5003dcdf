import type { Metric, Path } from '../../storage/query/query.ts';
import type { Json } from '../../storage/types.ts';
import { parseFieldPath } from './field-path.ts';
import { GROUP_BY_MAX, METRIC_NAME_CHARS_MAX, METRICS_MAX } from './limits.ts';
import { parsePaths } from './projection.ts';
import { nameOf, refuse } from './refuse.ts';
import { wantList, wantObject } from './shape.ts';

const KINDS = ['count', 'sum', 'avg', 'min', 'max', 'distinct'] as const;

/** What an aggregation computes. */
export interface Figures {
  readonly groupBy: readonly Path[];
  readonly metrics: readonly Metric[];
}

/**
 * Parses `groupBy`, at most 8 dotted paths, and `metrics`, 1 to 32 of `{"name", "kind", "path"}` with
 * unique names of 1 to 64 characters. The path is required but for `count`.
 */
export function parseFigures(request: {
  readonly groupBy?: unknown;
  readonly metrics?: unknown;
}): Figures {
  const groupBy = parsePaths(request.groupBy, 'groupBy', GROUP_BY_MAX);
  const bounds = { field: 'metrics', itemsMin: 1, itemsMax: METRICS_MAX };
  const items = wantList(request.metrics, bounds);
  const metrics = items.map((item, at) => parseMetric(item, `metrics[${String(at)}]`));
  const seen = new Set<string>();
  for (const { name } of metrics) {
    if (seen.has(name)) throw refuse('ARGUMENT_INVALID', 'metrics', `name ${nameOf(name)} twice`);
    seen.add(name);
  }
  return { groupBy, metrics };
}

function parseMetric(item: Json, at: string): Metric {
  const { name, kind, path } = wantObject(item, at, ['name', 'kind', 'path']);
  const isNamed = typeof name === 'string' && name !== '' && name.length <= METRIC_NAME_CHARS_MAX;
  if (!isNamed) {
    const wanted = `1 to ${String(METRIC_NAME_CHARS_MAX)} characters`;
    throw refuse('ARGUMENT_INVALID', `${at}.name`, `is ${nameOf(name)}; wants ${wanted}`);
  }
  const parsedKind = KINDS.find((known) => known === kind);
  if (parsedKind === undefined) {
    const wanted = `one of ${KINDS.join(', ')}`;
    throw refuse('ARGUMENT_INVALID', `${at}.kind`, `is ${nameOf(kind)}; wants ${wanted}`);
  }
  if (path === undefined && parsedKind === 'count') return { name, kind: parsedKind, path };
  const origin = { field: `${at}.path`, reason: 'ARGUMENT_INVALID' } as const;
  return { name, kind: parsedKind, path: parseFieldPath(path, origin) };
}
