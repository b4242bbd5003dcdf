/**
 * Encoded index entries: one blob per document and index, whose byte order is the order of the index.
 *
 * An entry is the concatenation of one component per field, with no separator. A component is:
 *
 * | value   | tag  | payload                                                                          |
 * | ------- | ---- | -------------------------------------------------------------------------------- |
 * | null    | 0x10 | none                                                                             |
 * | false   | 0x20 | none                                                                             |
 * | true    | 0x21 | none                                                                             |
 * | number  | 0x30 | 8 bytes: IEEE 754 big-endian; sign bit flipped when positive, all when negative   |
 * | string  | 0x40 | folded text, UTF-8, at most 512 bytes, each 0x00 as 0x00 0xFF; then 0x00 0x01     |
 * | longer  | 0x40 | its first 512 bytes, escaped alike; then 0x00 0x02 and 16 bytes of SHA-256        |
 * | array   | 0x50 | 16 bytes of SHA-256 of its canonical text                                        |
 * | object  | 0x60 | 16 bytes of SHA-256 of its canonical text                                        |
 * | missing | 0x70 | none                                                                             |
 *
 * A descending field holds the same component with every byte complemented. Components are prefix-free,
 * so entries compare field by field. Text is folded, because equality and ranges of strings are; two
 * values that differ in case are one value to an index, also to a unique one. Strings longer than 512
 * bytes keep their order by the first 512 and are told apart by their hash, arrays and objects by their
 * hash alone, so that unique indexes hold for every value. Unpaired surrogates are encoded as if they
 * were code points. An entry only narrows: the evaluator decides every match.
 */
import { createHash } from 'node:crypto';

import { invariant } from '../../errors/invariant.ts';
import type { IndexField, Json } from '../types.ts';
import { resolve, type Candidate } from './candidate.ts';
import { compareStrings, fold, RANK, rankOf, type Rank } from './compare.ts';
import { isArray, isObject, parsePath } from './path.ts';

/** Bytes of a folded string that take part in the order of an index. */
export const ENCODED_STRING_BYTES_MAX = 512;

const TAGS: Record<Rank, number> = {
  [RANK.null]: 0x10,
  [RANK.false]: 0x20,
  [RANK.true]: 0x21,
  [RANK.number]: 0x30,
  [RANK.string]: 0x40,
  [RANK.array]: 0x50,
  [RANK.object]: 0x60,
  [RANK.missing]: 0x70,
};
const HASH_BYTES = 16;
const WHOLE = Buffer.from([0x00, 0x01]);
const TRUNCATED = Buffer.from([0x00, 0x02]);

/** The entry of one document in one index. */
export interface IndexEntry {
  readonly key: Buffer;
  /** Every field is missing: a unique index does not count this entry. */
  readonly isExempt: boolean;
}

/** Computes the entry of a document; compiled once per index. */
export type IndexEncoder = (candidate: Candidate) => IndexEntry;

/** Compiles the fields of an index. Their paths must be valid: whoever declared the index checked. */
export function compileIndex(fields: readonly IndexField[]): IndexEncoder {
  const parts = fields.map(({ path, direction }) => {
    const parsed = parsePath(path);
    invariant(parsed !== undefined, `index path '${path}' is not a valid path`);
    return { path: parsed, direction };
  });
  return (candidate) => {
    const values = parts.map((part) => resolve(part.path, candidate));
    const components = parts.map((part, at) => encodeComponent(values[at], part.direction));
    return {
      key: Buffer.concat(components),
      isExempt: values.every((value) => value === undefined),
    };
  };
}

/** One component; `undefined` stands for a missing field. */
export function encodeComponent(value: Json | undefined, direction: 'asc' | 'desc'): Buffer {
  return directed(encodeAscending(value), direction);
}

/** Only the tag of a type: the common prefix of all components of that rank. */
export function encodeTag(rank: Rank, direction: 'asc' | 'desc'): Buffer {
  return directed(Buffer.from([TAGS[rank]]), direction);
}

/**
 * The common prefix of all components whose folded text starts with `text` folded; when it is longer
 * than 512 bytes, of all that share its first 512.
 */
export function encodeTextPrefix(text: string, direction: 'asc' | 'desc'): Buffer {
  // Half of a surrogate pair at the end also begins texts that hold the whole pair.
  return directed(encodeStart(fold(text).replace(/[\ud800-\udbff]$/, '')), direction);
}

/** The common prefix, ascending, of all longer strings that share the first 512 bytes of `text`. */
export function encodeTruncated(text: string): Buffer {
  return Buffer.concat([encodeStart(fold(text)), TRUNCATED]);
}

function encodeStart(folded: string): Buffer {
  const kept = textBytes(folded).subarray(0, ENCODED_STRING_BYTES_MAX);
  return Buffer.concat([Buffer.from([TAGS[RANK.string]]), escapeZeros(kept)]);
}

/** Reports whether the order of an index cannot tell `text` from others with the same beginning. */
export function isTruncated(text: string): boolean {
  return textBytes(fold(text)).length > ENCODED_STRING_BYTES_MAX;
}

/**
 * The smallest blob greater than every blob that starts with `prefix`; undefined when there is none.
 */
export function prefixEnd(prefix: Buffer): Buffer | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = Buffer.from(prefix.subarray(0, length));
  end.writeUInt8(end.readUInt8(length - 1) + 1, length - 1);
  return end;
}

function directed(bytes: Buffer, direction: 'asc' | 'desc'): Buffer {
  if (direction === 'desc') for (let at = 0; at < bytes.length; at++) bytes[at] = ~(bytes[at] ?? 0);
  return bytes;
}

function encodeAscending(value: Json | undefined): Buffer {
  const tag = Buffer.from([TAGS[rankOf(value)]]);
  if (typeof value === 'number') return Buffer.concat([tag, encodeNumber(value)]);
  if (typeof value === 'string') return Buffer.concat([tag, encodeText(value)]);
  if (isArray(value) || isObject(value)) return Buffer.concat([tag, hash(canonicalText(value))]);
  return tag;
}

function encodeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value === 0 ? 0 : value);
  if (bytes.readUInt8(0) < 0x80) bytes.writeUInt8(bytes.readUInt8(0) | 0x80, 0);
  else directed(bytes, 'desc');
  return bytes;
}

function encodeText(text: string): Buffer {
  const bytes = textBytes(fold(text));
  if (bytes.length <= ENCODED_STRING_BYTES_MAX) return Buffer.concat([escapeZeros(bytes), WHOLE]);
  const kept = escapeZeros(bytes.subarray(0, ENCODED_STRING_BYTES_MAX));
  return Buffer.concat([kept, TRUNCATED, hash(bytes)]);
}

function hash(content: string | Buffer): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, HASH_BYTES);
}

/** Text that is equal exactly when two values are deeply equal: members sorted, numbers by value. */
export function canonicalText(value: Json): string {
  if (isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value === 'number') return String(value);
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort(compareStrings)
    .map((name) => `${JSON.stringify(name)}:${canonicalText(value[name] ?? null)}`);
  return `{${members.join(',')}}`;
}

function escapeZeros(bytes: Buffer): Buffer {
  if (!bytes.includes(0)) return bytes;
  const escaped: number[] = [];
  for (const byte of bytes) {
    escaped.push(byte);
    if (byte === 0) escaped.push(0xff);
  }
  return Buffer.from(escaped);
}

const UNPAIRED_SURROGATE = /\p{Surrogate}/u;

/** UTF-8 whose byte order is code point order also for unpaired surrogates, which UTF-8 cannot hold. */
function textBytes(text: string): Buffer {
  if (!UNPAIRED_SURROGATE.test(text)) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    const isUnpaired = point >= 0xd800 && point <= 0xdfff;
    parts.push(isUnpaired ? surrogateBytes(point) : Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(parts);
}

function surrogateBytes(point: number): Buffer {
  return Buffer.from([0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)]);
}
