import type { Order, SortField } from '../../storage/query/query.ts';
import { parseFieldPath } from './field-path.ts';
import { SORT_FIELDS_MAX } from './limits.ts';
import { nameOf, refuse } from './refuse.ts';
import { wantList, wantObject } from './shape.ts';

/** What the members of an item are called where it was sent, so that errors name what is there. */
export interface SortNames {
  readonly path: string;
  readonly direction: string;
}

/** As the contract has them. */
export const CONTRACT_SORT: SortNames = { path: 'path', direction: 'direction' };

const SHORT_SORT: SortNames = { path: 'field', direction: 'order' };

/**
 * Parses what a query says about order.
 *
 * `sort` is a list of at most 16 items, each a dotted path or, unless `names` says otherwise,
 * `{"field", "order"}`; `order` is `asc` or `desc` and means insertion order. Both at once are
 * ARGUMENT_INVALID; neither gives `fallback`.
 */
export function parseOrder(
  { sort, order }: { readonly sort?: unknown; readonly order?: unknown },
  fallback: Order,
  names: SortNames = SHORT_SORT,
): Order {
  if (sort !== undefined && order !== undefined) {
    throw refuse('ARGUMENT_INVALID', 'order', "and 'sort' cannot be used together");
  }
  if (order !== undefined) return { by: 'insertion', direction: parseDirection(order, 'order') };
  const items = wantList(sort, { field: 'sort', itemsMax: SORT_FIELDS_MAX });
  if (items.length === 0) return fallback;
  const fields = items.map((item, at) => parseItem(item, `sort[${String(at)}]`, names));
  return { by: 'fields', fields };
}

function parseItem(item: unknown, at: string, names: SortNames): SortField {
  const reason = 'ARGUMENT_INVALID';
  if (typeof item === 'string') {
    return { path: parseFieldPath(item, { field: at, reason }), direction: 'asc' };
  }
  const members = wantObject(item, at, [names.path, names.direction]);
  const { [names.path]: path, [names.direction]: direction } = members;
  return {
    path: parseFieldPath(path, { field: `${at}.${names.path}`, reason }),
    direction:
      direction === undefined ? 'asc' : parseDirection(direction, `${at}.${names.direction}`),
  };
}

function parseDirection(value: unknown, field: string): 'asc' | 'desc' {
  const word = typeof value === 'string' ? value.toLowerCase() : undefined;
  if (word === 'asc' || word === 'desc') return word;
  throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants "asc" or "desc"`);
}
