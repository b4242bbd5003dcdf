import { createHmac } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import { isSame } from '../../platform/secrets.ts';
import { canonicalText } from '../../storage/query/encode.ts';
import type { Filter } from '../../storage/query/filter.ts';
import type { Query } from '../../storage/query/query.ts';
import { PAGE_TOKEN_CHARS_MAX } from './limits.ts';

/** The least bytes of a key that seals page tokens. */
export const PAGE_TOKEN_KEY_BYTES_MIN = 32;

/** What a page token is bound to besides the query. */
export interface PageTokenBinding {
  /** The key that seals; server-held, at least 32 bytes, the same on all nodes. */
  readonly key: Uint8Array;
  /** Anything else that must stay as it was, such as the name of the call and its read sequence. */
  readonly context: string;
}

/** The parts of a query that must stay as they were from page to page. */
export type PagedQuery = Pick<
  Query,
  'collection' | 'keys' | 'keyPrefix' | 'filter' | 'joins' | 'order' | 'projection'
>;

/**
 * Seals the `next` position of a page: 43 characters of HMAC-SHA-256 over the query, the context and
 * the position, then the position; URL-safe, at most 8,192 characters.
 *
 * A token grants nothing: access is checked anew on every page, and may differ from the page before.
 */
export function sealPageToken(
  position: string,
  query: PagedQuery,
  binding: PageTokenBinding,
): string {
  return `${sign(position, query, binding)}${position}`;
}

/**
 * Opens a page token and returns the position for `Query.after`; the empty token is the first page.
 *
 * PAGE_TOKEN_INVALID when it was not made by this server, or for other arguments.
 */
export function openPageToken(
  token: string,
  query: PagedQuery,
  binding: PageTokenBinding,
): string | undefined {
  if (token === '') return undefined;
  const isWellFormed = token.length <= PAGE_TOKEN_CHARS_MAX && TOKEN.test(token);
  const position = token.slice(SIGNATURE_CHARS);
  const isGenuine = isSame(token.slice(0, SIGNATURE_CHARS), sign(position, query, binding));
  if (isWellFormed && isGenuine) return position;
  throw new DomainError(
    'PAGE_TOKEN_INVALID',
    'the page token was not made for these arguments; keep them as they were on the first page, or ' +
      'start again without a token',
  );
}

const SIGNATURE_CHARS = 43;
const TOKEN = /^[A-Za-z0-9_-]{44,}$/;

function sign(position: string, query: PagedQuery, binding: PageTokenBinding): string {
  invariant(binding.key.length >= PAGE_TOKEN_KEY_BYTES_MIN, 'the page token key is too short');
  // Lengths are fixed or quoted by JSON, so that no two inputs give the same text.
  const text = JSON.stringify(['page/1', binding.context, canonical(query), position]);
  return createHmac('sha256', binding.key).update(text).digest('base64url');
}

/** Only what is asked: neither access, which may change, nor the size of the page. */
function canonical(query: PagedQuery): readonly unknown[] {
  const { collection, keys, keyPrefix, filter, joins, order, projection } = query;
  const asked = joins.map(({ alias, from, on, fields }) => [alias, from, on, fields ?? null]);
  const wanted = canonicalFilter(filter);
  return [collection, keys ?? null, keyPrefix, wanted, asked, order, projection ?? null];
}

/** The same for every order of clauses and members: a Struct on the wire does not keep it. */
function canonicalFilter(filter: Filter): string {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return `${filter.kind}(${filter.clauses.map(canonicalFilter).sort().join(',')})`;
    case 'not':
      return `not(${canonicalFilter(filter.clause)})`;
    case 'elemMatch':
      return `elemMatch(${JSON.stringify(filter.path)},${canonicalFilter(filter.clause)})`;
    default:
      return canonicalText({ ...filter });
  }
}
