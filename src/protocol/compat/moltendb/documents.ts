/** `/get`, `/set`, `/update`, `/delete` and the two GET routes. */
import { create, fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { timestampDate, ValueSchema } from '@bufbuild/protobuf/wkt';

import { CollectionService } from '../../../../gen/molten/v1/collections_pb.ts';
import {
  DeleteOrder,
  DocumentService,
  type Document,
} from '../../../../gen/molten/v1/documents_pb.ts';
import {
  DocumentOrder,
  QuerySchema,
  SortDirection,
  type Query,
} from '../../../../gen/molten/v1/query_pb.ts';
import { parseJoins } from '../../../domain/query/join.ts';
import { parseOrder } from '../../../domain/query/sort.ts';
import type { Caller } from '../../caller.ts';
import type { RouteHandler } from './handler.ts';
import {
  allowOnly,
  collectionIn,
  collectionOf,
  countOf,
  isObject,
  keysOf,
  offsetOf,
  parsePayload,
  tooManyKeys,
  wholeOf,
  type Payload,
} from './payload.ts';
import { nothingFound, Refusal } from './refusal.ts';

const RESERVED =
  "Fields starting with '_' are reserved for internal use and cannot be set by the client.";
const KEYS_MAX = 1000;

export const setRoute: RouteHandler = {
  needs: (request) => ({ action: 'write', collection: collectionIn(request) }),
  forbidden: ({ action, collection }) =>
    `Forbidden: token requires '${action}:${collection}:*' scope`,
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, ['collection', 'data', 'ttl', 'maxSize']);
    const collection = collectionOf(payload);
    const ttl = wholeOf(payload['ttl'], 0, "'ttl' must be a non-negative integer (seconds)");
    const maxSize = wholeOf(payload['maxSize'], 1, "'maxSize' must be a positive integer");
    const writes = writesOf(payload['data']);
    const isArray = Array.isArray(payload['data']);
    const hasRules = ttl !== undefined || maxSize !== undefined;
    const rules = { ttl, maxSize };
    // The rules are checked before the documents are written, and applied only once they are.
    if (hasRules) await configure(caller, collection, { ...rules, validateOnly: true });
    const { results } =
      writes.length === 0
        ? { results: [] }
        : await caller.call(DocumentService.method.batchSetDocuments, { collection, writes });
    if (hasRules) await configure(caller, collection, rules);
    const ids = results.map(({ key }) => key);
    return { status: 'ok', count: results.length, ...(isArray ? { ids } : {}) };
  },
};

interface Write {
  readonly key: string;
  readonly body: {
    readonly content: { readonly case: 'fields'; readonly value: JsonObject };
    readonly extends: Record<string, string>;
  };
}

function writesOf(data: unknown): Write[] {
  if (!Array.isArray(data) && !isObject(data))
    throw new Refusal("Missing 'data' (object or array)");
  const entries: readonly (readonly [string, unknown])[] = Array.isArray(data)
    ? data.map((document: unknown) => ['', document] as const)
    : Object.entries(data);
  if (entries.length > KEYS_MAX) throw tooManyKeys();
  return entries.map(([key, document], at) => {
    if (key === '' && !Array.isArray(data)) throw new Refusal('A document key must not be empty');
    if (!isObject(document)) {
      throw new Refusal(`Document '${key === '' ? String(at) : key}' must be a JSON object`);
    }
    const { extends: references, ...members } = document;
    if (Object.keys(members).some((name) => name.startsWith('_') && name !== '__proto__')) {
      throw new Refusal(RESERVED);
    }
    const content = { case: 'fields', value: members as JsonObject } as const;
    return { key, body: { content, extends: referencesOf(references) } };
  });
}

function referencesOf(references: unknown): Record<string, string> {
  if (references === undefined) return {};
  const isSound =
    isObject(references) && Object.values(references).every((one) => typeof one === 'string');
  if (isSound) return references as Record<string, string>;
  throw new Refusal("'extends' must be an object of '<collection>.<key>' references");
}

/** Changes `ttl` and `maxSize` of a collection, which need the scope `schema`. */
export async function configure(
  caller: Caller,
  collection: string,
  rules: {
    readonly ttl: number | undefined;
    readonly maxSize: number | undefined;
    readonly schema?: JsonObject;
    readonly validateOnly?: boolean;
  },
): Promise<void> {
  const { ttl, maxSize, schema, validateOnly = false } = rules;
  const paths = [
    ...(schema === undefined ? [] : ['schema']),
    ...(ttl === undefined ? [] : ['ttl']),
    ...(maxSize === undefined ? [] : ['max_size']),
  ];
  await caller.call(CollectionService.method.updateCollection, {
    ...{ collection, allowMissing: true, updateMask: { paths }, validateOnly },
    settings: {
      ...(schema === undefined ? {} : { schema }),
      // A time of 0 ends it at once in the original; here it takes the rule away.
      ...(ttl === undefined || ttl === 0 ? {} : { ttl: { seconds: BigInt(ttl) } }),
      ...(maxSize === undefined ? {} : { maxSize: BigInt(maxSize) }),
    },
  });
}

export const updateRoute: RouteHandler = {
  needs: (request) => ({ action: 'write', collection: collectionIn(request) }),
  forbidden: ({ action, collection }) =>
    `Forbidden: token requires '${action}:${collection}:*' scope`,
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, ['collection', 'data']);
    const collection = collectionOf(payload);
    const { data } = payload;
    if (!isObject(data)) throw new Refusal("Missing 'data' map");
    const entries = Object.entries(data);
    if (entries.length > KEYS_MAX) throw tooManyKeys();
    if (entries.length === 0) return { status: 'ok', updated: 0 };
    const { results } = await caller.call(DocumentService.method.batchUpdateDocuments, {
      ...{ collection, missing: SKIP, updates: entries.map(([key, one]) => updateOf(key, one)) },
    });
    return { status: 'ok', updated: results.length };
  },
};

/** MissingPolicy.SKIP: unknown keys are left out. */
const SKIP = 2;

function updateOf(
  key: string,
  document: unknown,
): {
  key: string;
  change: {
    patch: { op: string; path: string; value: ReturnType<typeof toValue> }[];
    merge?: JsonObject;
  };
  precondition?: { condition: { case: 'version'; value: bigint } };
} {
  if (!isObject(document)) throw new Refusal(`Document '${key}' must be a JSON object`);
  const { _v: version, ...members } = document;
  if (Object.keys(members).some((name) => name.startsWith('_') && name !== '__proto__')) {
    throw new Refusal(RESERVED);
  }
  const guard = wholeOf(version, 1, "'_v' must be a positive integer");
  // The members are taken as they are, null included, and others stay: what `add` of RFC 6902 does.
  const patch = Object.entries(members).map(([name, value]) => ({
    ...{ op: 'add', path: `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` },
    value: toValue(value),
  }));
  return {
    key,
    change: { patch, ...(patch.length === 0 ? { merge: {} } : {}) },
    ...(guard === undefined
      ? {}
      : { precondition: { condition: { case: 'version', value: BigInt(guard) } } as const }),
  };
}

function toValue(value: unknown): ReturnType<typeof fromJson<typeof ValueSchema>> {
  try {
    return fromJson(ValueSchema, value as JsonValue);
  } catch {
    throw new Refusal('The document holds a value that JSON cannot hold, or is nested too deep');
  }
}

const GET_MEMBERS = [
  ...['collection', 'keys', 'where', 'fields', 'excludedFields', 'joins', 'sort', 'order'],
  ...['count', 'offset'],
];

export const getRoute: RouteHandler = {
  needs: (request) => ({ action: 'read', collection: collectionIn(request) }),
  forbidden: forbiddenRead,
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, GET_MEMBERS);
    return await find(caller, payload);
  },
};

/** Without a key in the scope that is missing, none of the collection may be read. */
function forbiddenRead({ collection, key }: { collection: string; key: string }): string {
  return key === '*'
    ? `Forbidden: token has no read access to collection '${collection}'`
    : `Forbidden: token lacks 'read:${collection}:${key}' scope`;
}

export const getDocumentRoute: RouteHandler = {
  needs: ({ params }) => ({ action: 'read', collection: (params as PathParams).collection }),
  forbidden: forbiddenRead,
  async run({ params }, caller) {
    const { collection, key } = params as Required<PathParams>;
    return await find(caller, { collection, keys: key });
  },
};

export const getCollectionRoute: RouteHandler = {
  needs: ({ params }) => ({ action: 'read', collection: (params as PathParams).collection }),
  forbidden: forbiddenRead,
  async run({ params, query }, caller) {
    const { collection } = params as PathParams;
    const { limit, offset } = query as Readonly<Record<string, string | undefined>>;
    return await find(caller, {
      collection,
      ...(limit === undefined ? {} : { count: Number(limit) }),
      ...(offset === undefined ? {} : { offset: Number(offset) }),
    });
  },
};

interface PathParams {
  readonly collection: string;
  readonly key?: string;
}

async function find(caller: Caller, payload: Payload): Promise<unknown> {
  const keys = keysOf(payload);
  const count = countOf(payload);
  // Keys that were named are not cut off by a bound nobody asked for.
  const pageSize = keys !== undefined && payload['count'] === undefined ? keys.length : count;
  const query = queryOf(payload, keys);
  if (pageSize === 0) throw nothingFound();
  const { documents } = await caller.call(DocumentService.method.queryDocuments, {
    ...{ collection: collectionOf(payload), query, pageSize, offset: offsetOf(payload) },
  });
  const asked = textsOf(payload['fields'], 'fields');
  const shown = documents.map((document) => shape(document, asked));
  const [first] = shown;
  if (first === undefined) throw nothingFound();
  if (typeof payload['keys'] !== 'string') return shown;
  const { _key: _, ...single } = first;
  return single;
}

function queryOf(payload: Payload, keys: readonly string[] | undefined): Query {
  const { where, sort, order } = payload;
  const fields = textsOf(payload['fields'], 'fields');
  const excludedFields = textsOf(payload['excludedFields'], 'excludedFields');
  if (fields.length > 0 && excludedFields.length > 0) {
    throw new Refusal("'fields' and 'excludedFields' cannot be used together");
  }
  if (sort !== undefined && order !== undefined) {
    throw new Refusal("'order' and 'sort' cannot be used together");
  }
  return create(QuerySchema, {
    ...(where === undefined ? {} : { where: whereOf(where) }),
    sort: sortOf(sort),
    ...{ fields, excludedFields, joins: joinsOf(payload['joins']), keys: [...(keys ?? [])] },
    order: orderOf(order),
  });
}

/** A list of filters is their conjunction. */
function whereOf(where: unknown): JsonObject {
  if (isObject(where)) return where as JsonObject;
  if (Array.isArray(where) && where.every(isObject)) return { $and: where as JsonObject[] };
  throw new Refusal("'where' must be an object or an array of objects");
}

function orderOf(order: unknown): DocumentOrder {
  if (order === undefined || order === 'asc') return DocumentOrder.OLDEST_FIRST;
  if (order === 'desc') return DocumentOrder.NEWEST_FIRST;
  throw new Refusal('\'order\' must be "asc" or "desc"');
}

function sortOf(sort: unknown): { path: string; direction: SortDirection }[] {
  const order = parseOrder({ sort }, { by: 'key', direction: 'asc' });
  if (order.by !== 'fields') return [];
  return order.fields.map(({ path, direction }) => ({
    path: path.join('.'),
    direction: direction === 'desc' ? SortDirection.DESCENDING : SortDirection.ASCENDING,
  }));
}

function joinsOf(joins: unknown): { alias: string; from: string; on: string; fields: string[] }[] {
  return parseJoins(joins).map(({ alias, from, on, fields = [] }) => ({
    ...{ alias, from, on: on.join('.') },
    fields: fields.map((path) => path.join('.')),
  }));
}

function textsOf(value: unknown, name: string): string[] {
  if (value === undefined) return [];
  const isSound = Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (isSound) return value;
  throw new Refusal(`'${name}' must be an array of strings`);
}

/** `_key` and `_v` always; the other system fields when they were asked for. */
function shape(document: Document, fields: readonly string[]): Payload {
  const { key, version, createSequence, createTime, updateTime, expireTime, content } = document;
  const system: Payload = {
    _seq: Number(createSequence),
    _createdAt: createTime && timestampDate(createTime).toISOString(),
    _modifiedAt: updateTime && timestampDate(updateTime).toISOString(),
    _expiresAt: expireTime && timestampDate(expireTime).toISOString(),
  };
  const asked = Object.entries(system).filter(([name]) => fields.includes(name));
  const body = content.case === 'fields' ? content.value : {};
  return { ...body, ...Object.fromEntries(asked), _key: key, _v: Number(version) };
}

export const deleteRoute: RouteHandler = {
  needs: (request) => ({ action: 'delete', collection: collectionIn(request) }),
  forbidden: ({ action, collection }) =>
    `Forbidden: token requires '${action}:${collection}:*' scope`,
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, ['collection', 'keys', 'where', 'count', 'order', 'drop']);
    const collection = collectionOf(payload);
    const { where, count, drop } = payload;
    checkDeletion(payload);
    if (drop !== undefined && typeof drop !== 'boolean')
      throw new Refusal("'drop' must be true or false");
    if (drop === true) {
      await caller.call(CollectionService.method.dropCollection, {
        collection,
        allowMissing: true,
      });
      return { status: 'ok', dropped: true };
    }
    if (where !== undefined || (count !== undefined && payload['keys'] === undefined)) {
      return { status: 'ok', deleted: await deleteMatching(caller, payload) };
    }
    const keys = keysOf(payload);
    if (keys === undefined) {
      throw new Refusal("Missing 'keys' (string or array) or 'drop': true");
    }
    const { deletedCount } = await caller.call(DocumentService.method.batchDeleteDocuments, {
      ...{ collection, keys: [...keys] },
    });
    return { status: 'ok', deleted: Number(deletedCount) };
  },
};

/** What is malformed must not delete more, or something else, than was meant. */
function checkDeletion(payload: Payload): void {
  const { count, order } = payload;
  keysOf(payload);
  const isCount = typeof count === 'number' && Number.isInteger(count) && count >= 0;
  if (count !== undefined && !isCount) throw new Refusal("'count' must be a non-negative integer");
  if (order !== undefined) orderOf(order);
}

async function deleteMatching(caller: Caller, payload: Payload): Promise<number> {
  const { where, order } = payload;
  const limit = countOf(payload);
  if (limit === 0) return 0;
  const { deletedCount } = await caller.call(DocumentService.method.deleteMatchingDocuments, {
    ...{ collection: collectionOf(payload), limit },
    where: where === undefined ? {} : whereOf(where),
    order: order === 'desc' ? DeleteOrder.NEWEST_FIRST : DeleteOrder.OLDEST_FIRST,
  });
  return Number(deletedCount);
}
