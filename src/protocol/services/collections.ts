import {
  CreateCollectionRequestSchema,
  type CollectionService,
} from '../../../gen/molten/v1/collections_pb.ts';
import type { Collections } from '../../domain/collections/collections.ts';
import type { Durability } from '../../domain/documents/model.ts';
import { createNamePages } from '../../domain/query/name-page.ts';
import type { ServiceImplementation } from '../call.ts';
import { fromIndexField, fromSettings, toCollection, toIndex } from '../mapping/collection.ts';
import { fromBody } from '../mapping/document.ts';
import { fromDurability, toCommit } from '../mapping/durability.ts';
import { requestIdentity } from '../mapping/request-identity.ts';

/** What the service needs besides the domain. */
export interface CollectionServiceOptions {
  readonly collections: Collections;
  /** For requests that ask for none. */
  readonly durability: Durability;
  readonly documentBytesMax: number;
  readonly pageTokenKey: Uint8Array;
}

/** The mask that takes every setting. */
const ALL = ['*'];

type Service = ServiceImplementation<typeof CollectionService>;

/** Creates the CollectionService over the domain. */
export function createCollectionService(options: CollectionServiceOptions): Service {
  return { ...createCollectionMethods(options), ...createIndexMethods(options) };
}

type IndexMethods = Pick<Service, 'createIndex' | 'getIndex' | 'listIndexes' | 'dropIndex'>;

function createCollectionMethods(
  options: CollectionServiceOptions,
): Omit<Service, keyof IndexMethods> {
  const { collections, documentBytesMax } = options;
  const pages = createNamePages(options.pageTokenKey, 'ListCollections');
  return {
    async createCollection(message, { principal }) {
      const { collection, settings, validateOnly } = message;
      const request = requestIdentity(CreateCollectionRequestSchema, message, principal);
      const how = { rules: fromSettings(settings, ALL), validateOnly, request };
      return { collection: toCollection(await collections.create(principal, collection, how)) };
    },
    async getCollection({ collection }, { principal }) {
      return { collection: toCollection(await collections.get(principal, collection)) };
    },
    async listCollections({ pageSize, pageToken }, { principal }) {
      const page = pages.open(pageToken, pageSize);
      const { collections: found, next } = await collections.list(principal, page);
      return { collections: found.map(toCollection), nextPageToken: pages.seal(next) };
    },
    async updateCollection(request, { principal }) {
      const { collection, settings, updateMask, revision, allowMissing, validateOnly } = request;
      const rules = fromSettings(settings, updateMask?.paths ?? []);
      const expected = revision === 0n ? undefined : revision;
      const change = { rules, revision: expected, allowMissing, validateOnly };
      return { collection: toCollection(await collections.update(principal, collection, change)) };
    },
    async dropCollection(request, { principal }) {
      const { collection, allowMissing, validateOnly } = request;
      const uid = request.uid === '' ? undefined : request.uid;
      const durability = fromDurability(request.durability, options.durability);
      const how = { uid, allowMissing, durability, validateOnly };
      const { documents, commit } = await collections.drop(principal, collection, how);
      return { documentCount: BigInt(documents), ...(commit && { commit: toCommit(commit) }) };
    },
    async validateDocument({ collection, body }, { principal }) {
      const { value } = fromBody(body, 'body', documentBytesMax).body;
      const violations = await collections.validate(principal, collection, value);
      return { valid: violations.length === 0, violations: [...violations] };
    },
  };
}

function createIndexMethods({ collections, pageTokenKey }: CollectionServiceOptions): IndexMethods {
  const pages = createNamePages(pageTokenKey, 'ListIndexes');
  return {
    async createIndex({ collection, index: name, fields, unique }, { principal }) {
      const request = { name, unique, fields: fields.map(fromIndexField) };
      return { index: toIndex(await collections.createIndex(principal, collection, request)) };
    },
    async getIndex({ collection, index }, { principal }) {
      return { index: toIndex(await collections.getIndex(principal, collection, index)) };
    },
    async listIndexes({ collection, pageSize, pageToken }, { principal }) {
      const { after, limit } = pages.open(pageToken, pageSize);
      const all = await collections.listIndexes(principal, collection);
      const rest = all.filter(({ name }) => name > after);
      const shown = rest.slice(0, limit);
      const next = rest.length > limit ? (shown.at(-1)?.name ?? '') : '';
      return { indexes: shown.map(toIndex), nextPageToken: pages.seal(next) };
    },
    async dropIndex({ collection, index }, { principal }) {
      await collections.dropIndex(principal, collection, index);
      return {};
    },
  };
}
