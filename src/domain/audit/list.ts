import { createNamePages } from '../query/name-page.ts';
import type { Chain } from './chain.ts';
import type { AuditRecord, AuditResult } from './record.ts';

/** Which records are listed. What is absent or empty leaves all. */
export interface AuditFilter {
  /** Written at or after this, in Unix milliseconds. */
  readonly from?: number | undefined;
  /** Written before this, in Unix milliseconds. */
  readonly to?: number | undefined;
  readonly actor?: string | undefined;
  /** A whole name, or a prefix that ends in `*`, such as `token.*`. */
  readonly action?: string | undefined;
  readonly result?: AuditResult | undefined;
  readonly resource?: string | undefined;
}

/** What is asked for. */
export interface AuditQuery extends AuditFilter {
  /** Default: newest first. */
  readonly order?: AuditOrder | undefined;
  /** Default 100, at most 1,000. */
  readonly pageSize?: number | undefined;
  readonly pageToken?: string | undefined;
}

/** A page of records. It may be short, or empty, while there is a next one. */
export interface AuditPage {
  readonly records: readonly AuditRecord[];
  /** Empty: this was the last. */
  readonly nextPageToken: string;
}

/** Records read at once, and how often for one page: it looks at 10,000 at most. */
const STEP = 500;
const STEPS_MAX = 20;

/** Numbers of records, both included. */
interface Span {
  readonly first: number;
  readonly last: number;
}

type AuditOrder = 'newest' | 'oldest';

/** Lists records; looks at no more than 10,000 for one page. PAGE_TOKEN_INVALID for a foreign token. */
export async function listRecords(chain: Chain, query: AuditQuery): Promise<AuditPage> {
  const { order = 'newest', pageToken = '', pageSize = 0 } = query;
  const pages = createNamePages(chain.key, contextOf(query, order));
  const { after, limit } = pages.open(pageToken, pageSize);
  const span = behind(await spanOf(chain, query), order, after);
  const { records, left } = await collect(chain, span, { query, order, limit });
  const last = order === 'newest' ? left.last + 1 : left.first - 1;
  return { records, nextPageToken: isEmpty(left) ? '' : pages.seal(String(last)) };
}

/** Takes what matches from a span; tells what of it was not looked at. */
async function collect(
  chain: Chain,
  span: Span,
  asked: { readonly query: AuditQuery; readonly order: AuditOrder; readonly limit: number },
): Promise<{ readonly records: readonly AuditRecord[]; readonly left: Span }> {
  const { query, order, limit } = asked;
  const records: AuditRecord[] = [];
  let left = span;
  for (let steps = 0; steps < STEPS_MAX && !isEmpty(left); steps++) {
    for (const { number, record } of await readStep(chain, left, order)) {
      left = behind(left, order, String(number));
      if (record !== undefined && matches(record, query)) records.push(record);
      if (records.length === limit) return { records, left };
    }
  }
  return { records, left };
}

/** A page token is good only for what it was made for. */
function contextOf(query: AuditQuery, order: AuditOrder): string {
  const { from, to, actor, action, result, resource } = query;
  return JSON.stringify(['audit', from, to, actor, action, result, resource, order]);
}

function isEmpty({ first, last }: Span): boolean {
  return first > last;
}

/** What is left of a span behind a number; all of it when there is none. */
function behind(span: Span, order: AuditOrder, after: string): Span {
  if (after === '') return span;
  const number = Number(after);
  return order === 'newest'
    ? { ...span, last: Math.min(span.last, number - 1) }
    : { ...span, first: Math.max(span.first, number + 1) };
}

/** The next records of a span. What is broken is left out here; verification names it. */
async function readStep(
  chain: Chain,
  span: Span,
  order: AuditOrder,
): Promise<readonly { readonly number: number; readonly record: AuditRecord | undefined }[]> {
  const isNewest = order === 'newest';
  const first = isNewest ? Math.max(span.first, span.last - STEP + 1) : span.first;
  const last = isNewest ? span.last : Math.min(span.last, span.first + STEP - 1);
  const stored = await chain.read(first, last);
  const found = stored.map((one, at) => ({
    number: first + at,
    record: one.kind === 'record' ? one.record : undefined,
  }));
  return isNewest ? found.reverse() : found;
}

/** The numbers between the times that are asked for: times never decrease along the numbers. */
async function spanOf(chain: Chain, { from, to }: AuditFilter): Promise<Span> {
  const { anchor, end } = chain.ends();
  const first = anchor.number + 1;
  return {
    first: from === undefined ? first : await firstSince(chain, from, { first, last: end.number }),
    last:
      to === undefined
        ? end.number
        : (await firstSince(chain, to, { first, last: end.number })) - 1,
  };
}

/** The lowest number with a time at or after `timeMs`, or one before it where a record is broken. */
async function firstSince(chain: Chain, timeMs: number, { first, last }: Span): Promise<number> {
  let [low, high] = [first, last + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [stored] = await chain.read(middle, middle);
    if (stored?.kind !== 'record') return low;
    if (stored.record.time < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function matches(record: AuditRecord, filter: AuditFilter): boolean {
  const { from = -Infinity, to = Infinity, actor, action, result, resource } = filter;
  return (
    record.time >= from &&
    record.time < to &&
    isAsked(record.actor, actor) &&
    isAskedAction(record.action, action) &&
    (result === undefined || record.result === result) &&
    isAsked(record.resource, resource)
  );
}

function isAsked(value: string, asked: string | undefined): boolean {
  return asked === undefined || asked === '' || value === asked;
}

function isAskedAction(value: string, asked: string | undefined): boolean {
  if (asked?.endsWith('*') === true) return value.startsWith(asked.slice(0, -1));
  return isAsked(value, asked);
}
