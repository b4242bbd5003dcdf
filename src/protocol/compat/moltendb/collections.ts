/** `/schema`, `/stats` and `/analytics`. */
import type { JsonObject } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';

import { CollectionService, type Collection } from '../../../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../../../gen/molten/v1/documents_pb.ts';
import { MetricKind } from '../../../../gen/molten/v1/query_pb.ts';
import { configure } from './documents.ts';
import type { Caller } from '../../caller.ts';
import type { RouteHandler } from './handler.ts';
import {
  allowOnly,
  collectionIn,
  collectionOf,
  isObject,
  parsePayload,
  wholeOf,
  type Payload,
} from './payload.ts';
import { Refusal } from './refusal.ts';

export const schemaRoute: RouteHandler = {
  needs: (request) => ({ action: 'schema', collection: collectionIn(request) }),
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, ['collection', 'schema', 'ttl', 'maxSize']);
    const { collection, schema } = payload;
    if (typeof collection !== 'string') throw new Refusal("Missing 'collection' name");
    const ttl = wholeOf(payload['ttl'], 0, "'ttl' must be a non-negative integer (seconds)");
    const maxSize = wholeOf(payload['maxSize'], 1, "'maxSize' must be a positive integer");
    if (schema === undefined && ttl === undefined && maxSize === undefined) {
      throw new Refusal("At least one of 'schema', 'ttl', or 'maxSize' must be provided");
    }
    if (schema !== undefined && !isObject(schema)) {
      throw new Refusal('Invalid Schema: the schema must be an object');
    }
    const rules = {
      ttl,
      maxSize,
      ...(schema === undefined ? {} : { schema: schema as JsonObject }),
    };
    await configure(caller, collection, rules);
    return { status: 'ok', collection };
  },
};

export const statsRoute: RouteHandler = {
  async run(request, caller) {
    const payload = statsPayload(request.body, request.query as Payload);
    const { collection } = payload;
    if (collection !== undefined && typeof collection !== 'string') {
      throw new Refusal("'collection' must be a string");
    }
    if (collection !== undefined) {
      const found = await caller.call(CollectionService.method.getCollection, { collection });
      return { collection, ...(found.collection ? statsOf(found.collection) : {}) };
    }
    const all = await listAll(caller);
    const total = all.reduce((sum, { documentCount }) => sum + Number(documentCount), 0);
    return { collections: Object.fromEntries(all.map((one) => [one.name, statsOf(one)])), total };
  },
};

function statsPayload(body: unknown, query: Payload): Payload {
  const payload = Buffer.isBuffer(body) && body.length > 0 ? parsePayload(body) : query;
  allowOnly(payload, ['collection']);
  return payload;
}

async function listAll(caller: Caller): Promise<readonly Collection[]> {
  const all: Collection[] = [];
  let pageToken = '';
  do {
    const request = { pageToken, pageSize: 1000 };
    const page = await caller.call(CollectionService.method.listCollections, request);
    all.push(...page.collections);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}

function statsOf({ documentCount, expireTime, settings, expired }: Collection): Payload {
  const maxSize = Number(settings?.maxSize ?? 0n);
  return {
    count: Number(documentCount),
    ...(expireTime ? { expiresAt: timestampDate(expireTime).toISOString() } : {}),
    ...(maxSize > 0 ? { maxSize } : {}),
    ...(expired ? { expired: true } : {}),
  };
}

const METRICS: Readonly<Record<string, MetricKind>> = {
  COUNT: MetricKind.COUNT,
  SUM: MetricKind.SUM,
  AVG: MetricKind.AVG,
  MIN: MetricKind.MIN,
  MAX: MetricKind.MAX,
};

export const analyticsRoute: RouteHandler = {
  needs: (request) => ({ action: 'read', collection: collectionIn(request) }),
  forbidden: ({ collection }) =>
    `Forbidden: token has no read access to collection '${collection}'`,
  async run(request, caller) {
    const payload = parsePayload(request.body);
    allowOnly(payload, ['collection', 'metric', 'where']);
    const { where } = payload;
    const { kind, path } = metricOf(payload['metric']);
    if (where !== undefined && !isObject(where)) throw new Refusal("'where' must be an object");
    const { groups } = await caller.call(DocumentService.method.aggregateDocuments, {
      collection: collectionOf(payload),
      ...(where === undefined ? {} : { where: where as JsonObject }),
      metrics: [{ name: 'result', kind, path }],
    });
    return { result: groups[0]?.figures?.['result'] ?? (kind === MetricKind.COUNT ? 0 : null) };
  },
};

function metricOf(metric: unknown): { readonly kind: MetricKind; readonly path: string } {
  const type = isObject(metric) ? metric['type'] : undefined;
  const kind = typeof type === 'string' ? METRICS[type.toUpperCase()] : undefined;
  if (!isObject(metric) || kind === undefined) {
    throw new Refusal(`'metric.type' must be one of ${Object.keys(METRICS).join(', ')}`);
  }
  const { field = '' } = metric;
  if (typeof field !== 'string') throw new Refusal("'metric.field' must be a string");
  return { kind, path: field };
}
