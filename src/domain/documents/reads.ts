import { DomainError } from '../../errors/domain-error.ts';
import { createCandidate } from '../../storage/query/candidate.ts';
import { compileShown } from '../../storage/query/project.ts';
import type {
  AggregationResult,
  Join,
  Order,
  Query,
  QueryCost,
  QueryPage,
  QueryPlan,
  Selection,
} from '../../storage/query/query.ts';
import {
  ALL_KEYS,
  type Json,
  type KeyAccess,
  type Sequence,
  type StoredDocument,
} from '../../storage/types.ts';
import { parseFigures } from '../query/aggregation.ts';
import type { Principal } from '../access/principal.ts';
import { checkCollectionName, checkKey } from '../collections/names.ts';
import { parseJoins, type JoinRequest } from '../query/join.ts';
import { COUNT_DEFAULT, COUNT_MAX, GROUPS_MAX } from '../query/limits.ts';
import { openPageToken, sealPageToken } from '../query/page-token.ts';
import { parseProjection } from '../query/projection.ts';
import { CONTRACT_SORT, parseOrder } from '../query/sort.ts';
import { parseWhere } from '../query/where.ts';
import { demandAsked } from '../visibility/asked.ts';
import { visibilityOf } from '../visibility/visibility.ts';
import { toQueryLimits } from '../quota/query-limits.ts';
import type { DocumentsParts, EndedQuery } from './parts.ts';
import { permitKeys, permittedKeys } from './permission.ts';

/** Who reads, and until when. */
export interface ReadContext {
  readonly principal: Principal;
  readonly signal: AbortSignal;
  /** The call that it is part of. */
  readonly origin?: { readonly requestId: string };
}

/** Which documents by key. */
export interface GetRequest {
  readonly collection: string;
  readonly keys: readonly string[];
  /** Dotted paths of the members to return; empty: all. */
  readonly fields: readonly string[];
  /** Undefined: the newest state. */
  readonly atSequence: Sequence | undefined;
}

/** What was got. */
export interface GetResult {
  /** In the order of the keys; undefined where there is none. */
  readonly documents: readonly (StoredDocument | undefined)[];
  readonly sequence: Sequence;
}

/** A query as its protocols carry it; the parts in JSON are parsed here. */
export interface QueryRequest {
  readonly collection: string;
  readonly where: Json | undefined;
  readonly sort: unknown;
  readonly fields: unknown;
  readonly excludedFields: unknown;
  readonly joins: unknown;
  /** Undefined: every key that `keyPrefix` and the scopes take; empty: none. */
  readonly keys: readonly string[] | undefined;
  readonly keyPrefix: string;
  /** Without `sort`; undefined: by key, or as the keys were asked. */
  readonly order: Order | undefined;
  /** 0: 100; more than 1,000 counts as 1,000. */
  readonly pageSize: number;
  readonly pageToken: string;
  readonly offset: number;
  readonly total: boolean;
  readonly atSequence: Sequence | undefined;
}

/** A page and the token of the next. */
export interface PageResult {
  readonly page: QueryPage;
  /** Empty: this was the last page. */
  readonly nextPageToken: string;
}

/** An aggregation as its protocols carry it. */
export interface AggregationRequest extends Pick<
  QueryRequest,
  'collection' | 'where' | 'joins' | 'atSequence'
> {
  readonly groupBy: unknown;
  readonly metrics: unknown;
}

/** Reads of documents. */
export interface DocumentReads {
  /** SCOPE_MISSING when any key is not covered, whether or not it exists. */
  get(context: ReadContext, request: GetRequest): Promise<GetResult>;
  /** `call` is the name of the RPC, to which the page token is bound. */
  query(context: ReadContext, call: string, request: QueryRequest): Promise<PageResult>;
  /** Every match, page after page, in one committed state. What of the request is about pages is not used. */
  export(context: ReadContext, request: QueryRequest): AsyncIterable<QueryPage>;
  explain(context: ReadContext, request: QueryRequest): Promise<QueryPlan>;
  aggregate(context: ReadContext, request: AggregationRequest): Promise<AggregationResult>;
}

const NOTHING: KeyAccess = { kind: 'some', keys: [], prefixes: [] };

/** Creates the reading half of documents. */
export function createReads(parts: DocumentsParts): DocumentReads {
  return new StoredReads(parts);
}

type SelectionRequest = Pick<QueryRequest, 'collection' | 'where' | 'joins' | 'atSequence'> &
  Partial<Pick<QueryRequest, 'keys' | 'keyPrefix'>>;

class StoredReads implements DocumentReads {
  readonly #parts: DocumentsParts;

  constructor(parts: DocumentsParts) {
    this.#parts = parts;
  }

  async get(
    { principal, signal }: ReadContext,
    { collection, keys, fields, atSequence }: GetRequest,
  ): Promise<GetResult> {
    const { engine, limits } = this.#parts;
    checkCollectionName(collection);
    checkKeys(keys, limits.keysPerRequestMax);
    permitKeys(principal, 'read', { collection, keys });
    const projection = parseProjection({ fields });
    demandAsked(principal, collection, { projection });
    const { hidden } = visibilityOf(principal, collection);
    const access = await this.#shownKeys(collection, ALL_KEYS, atSequence);
    const found =
      access === NOTHING
        ? keys.map(() => undefined)
        : await engine.get(collection, keys, { signal, atSequence });
    const sequence = atSequence ?? (await engine.head()).sequence;
    if (projection === undefined && hidden === undefined) return { documents: found, sequence };
    const show = compileShown(projection, [], hidden);
    return { documents: found.map((one) => one && show(createCandidate(one))), sequence };
  }

  async query(context: ReadContext, call: string, request: QueryRequest): Promise<PageResult> {
    const { engine, pageTokenKey } = this.#parts;
    const query = await this.#open(context, request);
    const { atSequence } = request;
    const binding = { key: pageTokenKey, context: `${call} ${String(atSequence ?? '')}` };
    const after = openPageToken(request.pageToken, query, binding);
    // The position of a token is already behind the offset.
    const offset = after === undefined ? query.offset : 0;
    const { signal } = context;
    const { collection } = query;
    const page = await this.#timed({ context, call, collection }, () =>
      engine.query({ ...query, after, offset }, { signal, atSequence }),
    );
    const nextPageToken = page.next === undefined ? '' : sealPageToken(page.next, query, binding);
    return { page, nextPageToken };
  }

  async *export(context: ReadContext, request: QueryRequest): AsyncIterable<QueryPage> {
    const { engine } = this.#parts;
    const atSequence = request.atSequence ?? (await engine.head()).sequence;
    const whole = { ...request, atSequence, pageSize: COUNT_MAX, offset: 0, total: false };
    let pageToken = '';
    do {
      const result = await this.query(context, 'ExportDocuments', { ...whole, pageToken });
      yield result.page;
      pageToken = result.nextPageToken;
    } while (pageToken !== '');
  }

  async explain(context: ReadContext, request: QueryRequest): Promise<QueryPlan> {
    const query = await this.#open(context, request);
    const { signal } = context;
    return await this.#parts.engine.explain(query, { signal, atSequence: request.atSequence });
  }

  async aggregate(context: ReadContext, request: AggregationRequest): Promise<AggregationResult> {
    const selection = await this.#select(context, request);
    const { collection, groupBy, metrics, atSequence } = request;
    const figures = parseFigures({ groupBy, metrics });
    const { principal, signal } = context;
    demandAsked(principal, collection, { ...selection, ...figures });
    const aggregation = { ...selection, ...figures, groupsMax: GROUPS_MAX };
    return await this.#timed({ context, call: 'AggregateDocuments', collection }, () =>
      this.#parts.engine.aggregate(aggregation, { signal, atSequence }),
    );
  }

  async #timed<T extends { readonly cost: QueryCost }>(
    { context, ...what }: Pick<EndedQuery, 'call' | 'collection'> & { context: ReadContext },
    run: () => Promise<T>,
  ): Promise<T> {
    const { clock, onQuery } = this.#parts;
    const startMs = clock.monotonic();
    let cost: QueryCost | undefined;
    try {
      const result = await run();
      ({ cost } = result);
      return result;
    } finally {
      const { principal, origin } = context;
      const who = { subject: principal.subject, requestId: origin?.requestId };
      onQuery?.({ ...what, ...who, cost, durationMs: clock.monotonic() - startMs });
    }
  }

  async #open(context: ReadContext, request: QueryRequest): Promise<Query> {
    const selection = await this.#select(context, request);
    const fallback: Order = request.order ?? (request.keys ? { by: 'asked' } : BY_KEY);
    const { collection, fields, excludedFields, pageSize, offset, total } = request;
    const order = parseOrder({ sort: request.sort }, fallback, CONTRACT_SORT);
    const projection = parseProjection({ fields, excludedFields });
    demandAsked(context.principal, collection, { ...selection, order, projection });
    const { hidden } = visibilityOf(context.principal, collection);
    return {
      ...{ ...selection, order, projection, hidden },
      limit: Math.min(
        pageSize === 0 ? COUNT_DEFAULT : pageSize,
        this.#parts.limits.query().rowsMax,
      ),
      ...{ offset, total, after: undefined },
    };
  }

  async #select({ principal }: ReadContext, request: SelectionRequest): Promise<Selection> {
    const { limits } = this.#parts;
    const { collection, keys, keyPrefix = '', atSequence } = request;
    checkCollectionName(collection);
    const granted = permittedKeys(principal, 'read', collection);
    if (keys !== undefined) {
      checkKeys(keys, limits.keysPerRequestMax);
      permitKeys(principal, 'read', { collection, keys });
    }
    const filter = parseWhere(request.where);
    const joins = await Promise.all(
      parseJoins(request.joins).map((join) => this.#openJoin(principal, join, atSequence)),
    );
    const access = await this.#shownKeys(collection, granted, atSequence);
    return {
      collection,
      access,
      keys,
      keyPrefix,
      filter,
      joins,
      limits: toQueryLimits(limits.query()),
    };
  }

  async #openJoin(
    principal: Principal,
    join: JoinRequest,
    atSequence: Sequence | undefined,
  ): Promise<Join> {
    const granted = principal.scopes.keyAccess('read', join.from);
    const access = await this.#shownKeys(join.from, granted, atSequence);
    const { hidden } = visibilityOf(principal, join.from);
    return { ...join, access, hidden, systemFields: true };
  }

  /** The keys a read may show: none of a collection whose `ttl` has passed. */
  async #shownKeys(
    collection: string,
    access: KeyAccess,
    atSequence: Sequence | undefined,
  ): Promise<KeyAccess> {
    if (atSequence !== undefined) return access;
    const found = await this.#parts.catalog.find(collection);
    return found?.isExpired === true ? NOTHING : access;
  }
}

const BY_KEY: Order = { by: 'key', direction: 'asc' };

/** KEY_INVALID for the first key that cannot name a document; ARGUMENT_INVALID for too many. */
export function checkKeys(keys: readonly string[], max: number): void {
  if (keys.length > max) {
    throw new DomainError(
      'ARGUMENT_INVALID',
      `keys are ${String(keys.length)}; at most ${String(max)} are taken at once`,
      { metadata: { field: 'keys', limit: String(max) } },
    );
  }
  for (const key of keys) checkKey(key);
}
