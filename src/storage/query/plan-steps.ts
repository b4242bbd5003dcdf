import type { Draft, PlanRequest } from './plan-model.ts';
import { formatPath } from './path.ts';
import type { Order } from './query.ts';

/** Tells in words what a plan does, first step to last. */
export function describe(request: PlanRequest, draft: Draft): readonly string[] {
  const { selection, order } = request;
  const steps = [describeAccess(draft)];
  const { filter } = selection;
  const isFiltered = filter.kind !== 'and' || filter.clauses.length > 0;
  if (isFiltered) steps.push('keep the documents that match the filter');
  if (order === undefined) return steps;
  const named = describeOrder(order);
  if (draft.arrival === 'total') steps.push(`take them as they come, ${named}`);
  else if (draft.arrival === 'byFields') steps.push(`sort runs of equal values, ${named}`);
  else steps.push(`sort in memory, ${named}`);
  return steps;
}

function describeAccess({ access, fieldsUsed }: Draft): string {
  switch (access.kind) {
    case 'keys':
      return `look up ${count(access.keys.length, 'key')}`;
    case 'index': {
      const way = access.reverse ? ' backwards' : '';
      const bound = fieldsUsed === 0 ? 'unbounded' : `bound by ${count(fieldsUsed, 'field')}`;
      const ranges = count(access.ranges.length, 'range');
      return `walk index '${access.index}'${way} over ${ranges}, ${bound}`;
    }
    case 'scan': {
      const way = access.reverse ? ' backwards' : '';
      const by = access.by === 'key' ? 'key' : 'insertion';
      const isWhole = access.ranges.some((range) => range.kind === 'range' && range.lower === '');
      const what = isWhole ? 'the collection' : count(access.ranges.length, 'range of keys');
      return `scan ${what}${way} by ${by}`;
    }
  }
}

function describeOrder(order: Order): string {
  switch (order.by) {
    case 'key':
      return `by key ${wordOf(order.direction)}`;
    case 'insertion':
      return `by insertion ${wordOf(order.direction)}`;
    case 'asked':
      return 'in the order asked';
    case 'fields': {
      const fields = order.fields.map(
        (field) => `${formatPath(field.path)} ${wordOf(field.direction)}`,
      );
      return `by ${fields.join(', ')}, then key`;
    }
  }
}

function wordOf(direction: 'asc' | 'desc'): string {
  return direction === 'asc' ? 'ascending' : 'descending';
}

function count(amount: number, noun: string): string {
  const [first, ...rest] = noun.split(' ');
  const plural = [`${first ?? noun}s`, ...rest].join(' ');
  return `${String(amount)} ${amount === 1 ? noun : plural}`;
}
