import type { Order, SortField } from '../../storage/query/query.ts';
import { parseFieldPath } from './field-path.ts';
import { SORT_FIELDS_MAX } from './limits.ts';
import { nameOf, refuse } from './refuse.ts';
import { wantList, wantObject } from './shape.ts';

/**
 * Parses what a query says about order.
 *
 * `sort` is a list of at most 16 items, each a dotted path or `{"field", "order"}`; `order` is `asc` or
 * `desc` and means insertion order. Both at once are ARGUMENT_INVALID; neither gives `fallback`.
 */
export function parseOrder(
  { sort, order }: { readonly sort?: unknown; readonly order?: unknown },
  fallback: Order,
): Order {
  if (sort !== undefined && order !== undefined) {
    throw refuse('ARGUMENT_INVALID', 'order', "and 'sort' cannot be used together");
  }
  if (order !== undefined) return { by: 'insertion', direction: parseDirection(order, 'order') };
  const items = wantList(sort, { field: 'sort', itemsMax: SORT_FIELDS_MAX });
  if (items.length === 0) return fallback;
  return { by: 'fields', fields: items.map((item, at) => parseItem(item, `sort[${String(at)}]`)) };
}

function parseItem(item: unknown, at: string): SortField {
  const reason = 'ARGUMENT_INVALID';
  if (typeof item === 'string') {
    return { path: parseFieldPath(item, { field: at, reason }), direction: 'asc' };
  }
  const { field, order } = wantObject(item, at, ['field', 'order']);
  return {
    path: parseFieldPath(field, { field: `${at}.field`, reason }),
    direction: order === undefined ? 'asc' : parseDirection(order, `${at}.order`),
  };
}

function parseDirection(value: unknown, field: string): 'asc' | 'desc' {
  const word = typeof value === 'string' ? value.toLowerCase() : undefined;
  if (word === 'asc' || word === 'desc') return word;
  throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants "asc" or "desc"`);
}
