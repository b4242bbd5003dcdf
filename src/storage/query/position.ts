import { DomainError } from '../../errors/domain-error.ts';
import { RANK, type Rank } from './compare.ts';
import type { SortKey, SortValue } from './order.ts';
import type { Order } from './query.ts';

/** The longest position that is read, in characters. */
export const POSITION_CHARS_MAX = 8000;

const KINDS: Record<Order['by'], number> = { key: 1, insertion: 2, fields: 3, asked: 4 };

/**
 * Writes the place of the last row of a page as opaque URL-safe text, base64url of:
 *
 * | offset | bytes | meaning                                                                       |
 * | ------ | ----- | ----------------------------------------------------------------------------- |
 * | 0      | 1     | kind of order: 1 key, 2 insertion, 3 fields, 4 asked                          |
 * | 1      | 1     | how many values follow                                                        |
 * | 2      |       | per value: rank (1 byte); a number as 8 bytes, IEEE 754 big-endian; a string  |
 * |        |       | as its length in bytes (2 bytes, big-endian) and its UTF-16, little-endian    |
 * | …      | rest  | the key in UTF-16, little-endian                                              |
 *
 * It names a place and not a row, so it stays good when that row is changed or deleted. It is neither
 * secret nor signed.
 */
export function encodePosition(order: Order, place: SortKey): string {
  return Buffer.concat([
    Buffer.from([KINDS[order.by], place.values.length]),
    ...place.values.map(encodeValue),
    Buffer.from(place.key, 'utf16le'),
  ]).toString('base64url');
}

function encodeValue({ rank, value }: SortValue): Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.from([rank, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  if (value === undefined) return Buffer.from([rank]);
  const text = Buffer.from(value, 'utf16le');
  const head = Buffer.from([rank, 0, 0]);
  head.writeUInt16BE(text.length, 1);
  return Buffer.concat([head, text]);
}

/** Reads a position; PAGE_TOKEN_INVALID when it is none, or one of another order. */
export function decodePosition(order: Order, text: string): SortKey {
  if (text.length > POSITION_CHARS_MAX) throw refuse('is too long');
  const bytes = Buffer.from(text, 'base64url');
  const [kind, count] = bytes;
  if (kind === undefined || count === undefined) throw refuse('cannot be read');
  if (kind !== KINDS[order.by] || count !== valueCount(order)) {
    throw refuse('belongs to a query in another order');
  }
  const values: SortValue[] = [];
  let at = 2;
  for (let read = 0; read < count; read++) {
    const { value, end } = decodeValue(bytes, at);
    values.push(value);
    at = end;
  }
  return { values, key: bytes.subarray(at).toString('utf16le') };
}

function valueCount(order: Order): number {
  if (order.by === 'fields') return order.fields.length;
  return order.by === 'key' ? 0 : 1;
}

function decodeValue(
  bytes: Buffer,
  at: number,
): { readonly value: SortValue; readonly end: number } {
  const rank = bytes[at];
  const start = at + 1;
  if (!isRank(rank)) throw refuse('cannot be read');
  if (rank === RANK.number) {
    if (bytes.length < start + 8) throw refuse('cannot be read');
    const value = bytes.readDoubleBE(start);
    if (Number.isNaN(value)) throw refuse('cannot be read');
    return { value: { rank, value }, end: start + 8 };
  }
  if (rank !== RANK.string) return { value: { rank, value: undefined }, end: start };
  if (bytes.length < start + 2) throw refuse('cannot be read');
  const end = start + 2 + bytes.readUInt16BE(start);
  if (bytes.length < end) throw refuse('cannot be read');
  return { value: { rank, value: bytes.subarray(start + 2, end).toString('utf16le') }, end };
}

function isRank(value: number | undefined): value is Rank {
  return value !== undefined && (Object.values(RANK) as readonly number[]).includes(value);
}

function refuse(problem: string): DomainError {
  return new DomainError(
    'PAGE_TOKEN_INVALID',
    `the page position ${problem}; start again from the first page`,
  );
}
