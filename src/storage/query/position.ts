import { DomainError } from '../../errors/domain-error.ts';
import { RANK, type Rank } from './compare.ts';
import type { SortKey, SortValue } from './order.ts';
import type { Order } from './query.ts';

/** The longest position that is read, in characters: 16 sort fields of 512 units with room to spare. */
export const POSITION_CHARS_MAX = 65_536;

const KINDS = { key: 'k', insertion: 'i', fields: 'f', asked: 'a' } as const;

/**
 * Writes the place of the last row of a page as opaque URL-safe text: base64url of
 * `[order, [[rank, value?], …], key]` as JSON, numbers as text. It names a place and not a row, so it
 * stays good when that row is changed or deleted. It is neither secret nor signed.
 */
export function encodePosition(order: Order, place: SortKey): string {
  const values = place.values.map(({ rank, value }) =>
    value === undefined ? [rank] : [rank, String(value)],
  );
  const text = JSON.stringify([KINDS[order.by], values, place.key]);
  return Buffer.from(text, 'utf8').toString('base64url');
}

/** Reads a position; PAGE_TOKEN_INVALID when it is none, or one of another order. */
export function decodePosition(order: Order, text: string): SortKey {
  if (text.length > POSITION_CHARS_MAX) throw refuse('is too long');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch (cause) {
    throw refuse('cannot be read', cause);
  }
  if (!Array.isArray(parsed) || parsed.length !== 3) throw refuse('cannot be read');
  const [kind, values, key] = parsed as readonly unknown[];
  if (!Array.isArray(values) || typeof key !== 'string') throw refuse('cannot be read');
  if (kind !== KINDS[order.by] || values.length !== valueCount(order)) {
    throw refuse('belongs to a query in another order');
  }
  return { values: values.map(decodeValue), key };
}

function valueCount(order: Order): number {
  if (order.by === 'fields') return order.fields.length;
  return order.by === 'key' ? 0 : 1;
}

function decodeValue(pair: unknown): SortValue {
  const [rank, value] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
  if (!isRank(rank)) throw refuse('cannot be read');
  if (rank === RANK.number && typeof value === 'string') return { rank, value: number(value) };
  if (rank === RANK.string && typeof value === 'string') return { rank, value };
  if (rank === RANK.number || rank === RANK.string || value !== undefined) {
    throw refuse('cannot be read');
  }
  return { rank, value: undefined };
}

function number(text: string): number {
  const value = Number(text);
  if (Number.isNaN(value) || text.trim() === '') throw refuse('cannot be read');
  return value;
}

function isRank(value: unknown): value is Rank {
  return Object.values(RANK).includes(value as Rank);
}

function refuse(problem: string, cause?: unknown): DomainError {
  return new DomainError(
    'PAGE_TOKEN_INVALID',
    `the page position ${problem}; start again from the first page`,
    { cause },
  );
}
