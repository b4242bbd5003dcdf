/**
 * The DocumentService: map in, domain, map out. What a request means is decided in the domain; what it
 * looks like on the wire is decided in `mapping`.
 */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';

import {
  BatchDeleteDocumentsRequestSchema,
  BatchSetDocumentsRequestSchema,
  BatchUpdateDocumentsRequestSchema,
  CommitTransactionRequestSchema,
  DeleteDocumentRequestSchema,
  DeleteMatchingDocumentsRequestSchema,
  DeleteOrder,
  DocumentEncoding,
  InsertDocumentRequestSchema,
  MissingPolicy as MissingPolicyMessage,
  SetDocumentRequestSchema,
  UpdateDocumentRequestSchema,
  type Comparison as ComparisonMessage,
  type DocumentService,
  type Durability as DurabilityMessage,
  type TransactionWrite,
} from '../../../gen/molten/v1/documents_pb.ts';
import type { Durability } from '../../domain/documents/model.ts';
import type { Documents } from '../../domain/documents/documents.ts';
import type { PageResult } from '../../domain/documents/reads.ts';
import type {
  Comparison,
  MissingPolicy,
  WriteContext,
  WriteStep,
} from '../../domain/documents/steps.ts';
import type { Written } from '../../domain/documents/writes.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { parseWhere } from '../../domain/query/where.ts';
import type { CallContext, ServiceImplementation } from '../call.ts';
import {
  fromBody,
  fromChange,
  fromPrecondition,
  toDocument,
  toWriteResult,
} from '../mapping/document.ts';
import { fromDurability, toCommit } from '../mapping/durability.ts';
import {
  fromJoin,
  fromMetric,
  fromQuery,
  fromReadSequence,
  toGroup,
  toPlan,
} from '../mapping/query.ts';
import { requestIdentity } from '../mapping/request-identity.ts';

/** What the service needs besides the domain. */
export interface DocumentServiceOptions {
  readonly documents: Documents;
  /** For requests that ask for none. */
  readonly durability: Durability;
  readonly documentBytesMax: number;
}

type Service = ServiceImplementation<typeof DocumentService>;

/** Creates the DocumentService over the domain. */
export function createDocumentService(options: DocumentServiceOptions): Service {
  return {
    ...createReads(options),
    ...createPages(options),
    ...createSingleWrites(options),
    ...createBatchWrites(options),
  };
}

type Reads = Pick<
  Service,
  'getDocument' | 'batchGetDocuments' | 'explainQuery' | 'aggregateDocuments'
>;

function createReads({ documents: { reads } }: DocumentServiceOptions): Reads {
  return {
    async getDocument({ collection, key, fields, readSequence, encoding }, context) {
      const atSequence = fromReadSequence(readSequence);
      const request = { collection, keys: [key], fields, atSequence };
      const { documents } = await reads.get(context, request);
      const [found] = documents;
      if (found === undefined) throw notFound(collection, key);
      return { document: toDocument(found, encoding) };
    },
    async batchGetDocuments({ collection, keys, fields, readSequence, encoding }, context) {
      const atSequence = fromReadSequence(readSequence);
      const result = await reads.get(context, { collection, keys, fields, atSequence });
      return {
        documents: result.documents.flatMap((one) => (one ? [toDocument(one, encoding)] : [])),
        missingKeys: keys.filter((_, at) => result.documents[at] === undefined),
        readSequence: result.sequence,
      };
    },
    async explainQuery({ collection, query, pageSize }, context) {
      const plan = await reads.explain(context, {
        ...{ ...fromQuery(query), collection, pageSize, pageToken: '', keyPrefix: '' },
        ...{ offset: 0, total: false, atSequence: undefined },
      });
      return { plan: toPlan(plan) };
    },
    async aggregateDocuments(request, context) {
      const { collection, where, joins, groupBy, metrics, readSequence } = request;
      const result = await reads.aggregate(context, {
        ...{ collection, groupBy, where: where, joins: joins.map(fromJoin) },
        metrics: metrics.map(fromMetric),
        atSequence: fromReadSequence(readSequence),
      });
      return { groups: result.groups.map(toGroup), readSequence: result.sequence };
    },
  };
}

type Pages = Pick<Service, 'listDocuments' | 'queryDocuments' | 'exportDocuments'>;

function createPages({ documents: { reads } }: DocumentServiceOptions): Pages {
  return {
    async listDocuments(request, context) {
      const { collection, pageSize, pageToken, keyPrefix, fields, encoding } = request;
      const result = await reads.query(context, 'ListDocuments', {
        ...{ ...fromQuery(undefined), collection, pageSize, pageToken, keyPrefix, fields },
        ...{ offset: 0, total: request.includeTotal },
        atSequence: fromReadSequence(request.readSequence),
      });
      return toPageMessage(result, encoding);
    },
    async queryDocuments(request, context) {
      const { collection, query, pageSize, pageToken, offset, encoding } = request;
      const result = await reads.query(context, 'QueryDocuments', {
        ...{ ...fromQuery(query), collection, pageSize, pageToken, keyPrefix: '', offset },
        total: request.includeTotal,
        atSequence: fromReadSequence(request.readSequence),
      });
      return toPageMessage(result, encoding);
    },
    async *exportDocuments({ collection, query, readSequence, encoding }, context) {
      const pages = reads.export(context, {
        ...{ ...fromQuery(query), collection, pageSize: 0, pageToken: '', keyPrefix: '' },
        ...{ offset: 0, total: false, atSequence: fromReadSequence(readSequence) },
      });
      for await (const { documents, sequence } of pages) {
        yield {
          documents: documents.map((one) => toDocument(one, encoding)),
          readSequence: sequence,
        };
      }
    },
  };
}

function toPageMessage({ page, nextPageToken }: PageResult, encoding: DocumentEncoding) {
  return {
    documents: page.documents.map((one) => toDocument(one, encoding)),
    ...{ nextPageToken, readSequence: page.sequence },
    ...(page.total === undefined ? {} : { totalSize: BigInt(page.total) }),
  };
}

type SingleWrites = Pick<
  Service,
  'setDocument' | 'insertDocument' | 'updateDocument' | 'deleteDocument'
>;

function createSingleWrites(options: DocumentServiceOptions): SingleWrites {
  const { documents, documentBytesMax } = options;
  const { writes, newKey } = documents;
  return {
    async setDocument(request, context) {
      const { collection, key } = request;
      const content = fromBody(request.body, 'body', documentBytesMax);
      const precondition = fromPrecondition(request.precondition);
      const how = writeContext(options, SetDocumentRequestSchema, { request, context });
      const step: WriteStep = { kind: 'set', collection, key, content, precondition };
      return single(await writes.write(how, [step]));
    },
    async insertDocument(request, context) {
      const { collection, key } = request;
      const content = fromBody(request.body, 'body', documentBytesMax);
      const how = writeContext(options, InsertDocumentRequestSchema, { request, context });
      const step: WriteStep = {
        ...{ kind: 'set', collection, key: key === '' ? newKey() : key, content },
        precondition: { kind: 'exists', exists: false },
      };
      return single(await writes.write(how, [step]));
    },
    async updateDocument(request, context) {
      const { collection, key, allowMissing, returnDocument } = request;
      // Who may only write is not shown what was there.
      if (returnDocument) documents.permitRead(context.principal, collection, key);
      const how = writeContext(options, UpdateDocumentRequestSchema, { request, context });
      const step: WriteStep = {
        ...{ kind: 'update', collection, key, change: fromChange(request.change, 'change') },
        missing: allowMissing ? 'create' : 'fail',
        precondition: fromPrecondition(request.precondition),
      };
      const written = await writes.write(how, [step]);
      if (!returnDocument || written.commit === undefined) return single(written);
      const { principal } = context;
      const target = { collection, key };
      const document = await documents.readBack(principal, target, written.commit.sequence);
      return {
        ...single(written),
        ...(document && { document: toDocument(document, DocumentEncoding.STRUCT) }),
      };
    },
    async deleteDocument(request, context) {
      const { collection, key } = request;
      const precondition = fromPrecondition(request.precondition);
      const how = writeContext(options, DeleteDocumentRequestSchema, { request, context });
      return single(await writes.write(how, [{ kind: 'delete', collection, key, precondition }]));
    },
  };
}

type BatchWrites = Pick<
  Service,
  | 'batchSetDocuments'
  | 'batchUpdateDocuments'
  | 'batchDeleteDocuments'
  | 'deleteMatchingDocuments'
  | 'commitTransaction'
>;

function createBatchWrites(options: DocumentServiceOptions): BatchWrites {
  const { documents, documentBytesMax } = options;
  const { writes, newKey } = documents;

  return {
    async batchSetDocuments(request, context) {
      const { collection } = request;
      const how = writeContext(options, BatchSetDocumentsRequestSchema, { request, context });
      const steps = request.writes.map(({ key, body, precondition }, at): WriteStep => {
        const content = fromBody(body, `writes[${String(at)}].body`, documentBytesMax);
        return {
          ...{ kind: 'set', collection, key: key === '' ? newKey() : key, content },
          precondition: fromPrecondition(precondition),
        };
      });
      return batch(await writes.write(how, steps));
    },
    async batchUpdateDocuments(request, context) {
      const { collection } = request;
      const how = writeContext(options, BatchUpdateDocumentsRequestSchema, { request, context });
      const missing = MISSING[request.missing] ?? 'fail';
      const steps = request.updates.map(({ key, change, precondition }, at): WriteStep => ({
        ...{ kind: 'update', collection, key, missing },
        change: fromChange(change, `updates[${String(at)}].change`),
        precondition: fromPrecondition(precondition),
      }));
      return batch(await writes.write(how, steps));
    },
    async batchDeleteDocuments(request, context) {
      const { collection, keys } = request;
      const how = writeContext(options, BatchDeleteDocumentsRequestSchema, { request, context });
      const steps = keys.map((key): WriteStep => ({
        kind: 'delete',
        collection,
        key,
        precondition: undefined,
      }));
      const written = await writes.write(how, steps);
      const deletedCount = BigInt(written.results.filter(({ existed }) => existed).length);
      return { ...batch(written), deletedCount };
    },
    async deleteMatchingDocuments(request, context) {
      const { collection, where, limit } = request;
      if (where === undefined) throw whereMissing();
      const how = writeContext(options, DeleteMatchingDocumentsRequestSchema, { request, context });
      const order = request.order === DeleteOrder.NEWEST_FIRST ? 'desc' : 'asc';
      const result = await writes.deleteMatching(how, { collection, where, limit, order });
      return {
        deletedCount: BigInt(result.deleted),
        ...(result.commit && { commit: toCommit(result.commit) }),
      };
    },
    async commitTransaction(request, context) {
      const how = writeContext(options, CommitTransactionRequestSchema, { request, context });
      const result = await writes.transact(how, {
        compare: request.compare.map(fromComparison),
        then: request.then.map((one, at) => fromOperation(options, one, `then[${String(at)}]`)),
        otherwise: request.else.map((one, at) =>
          fromOperation(options, one, `else[${String(at)}]`),
        ),
      });
      return { ...batch(result), succeeded: result.succeeded };
    },
  };
}

function fromOperation(
  { documents: { newKey }, documentBytesMax }: DocumentServiceOptions,
  { collection, key, operation }: TransactionWrite,
  field: string,
): WriteStep {
  const precondition = undefined;
  switch (operation.case) {
    case 'set':
    case 'insert': {
      const content = fromBody(operation.value, `${field}.${operation.case}`, documentBytesMax);
      const isInsert = operation.case === 'insert';
      return {
        ...{ kind: 'set', collection, key: key === '' ? newKey() : key, content },
        precondition: isInsert ? { kind: 'exists', exists: false } : undefined,
      };
    }
    case 'update': {
      const change = fromChange(operation.value, `${field}.update`);
      return { kind: 'update', collection, key, change, missing: 'fail', precondition };
    }
    default:
      return { kind: 'delete', collection, key, precondition };
  }
}

const MISSING: Readonly<Record<number, MissingPolicy>> = {
  [MissingPolicyMessage.SKIP]: 'skip',
  [MissingPolicyMessage.CREATE]: 'create',
};

interface WriteRequest {
  readonly durability: DurabilityMessage;
  readonly requestId: string;
  readonly validateOnly: boolean;
}

function writeContext<D extends DescMessage>(
  { durability }: DocumentServiceOptions,
  schema: D,
  { request, context }: { request: MessageShape<D> & WriteRequest; context: CallContext },
): WriteContext {
  const { principal } = context;
  return {
    principal,
    signal: context.signal,
    durability: fromDurability(request.durability, durability),
    request: requestIdentity(schema, request, principal),
    validateOnly: request.validateOnly,
  };
}

function fromComparison({ collection, key, condition }: ComparisonMessage, at: number): Comparison {
  switch (condition.case) {
    case 'exists':
      return { collection, key, condition: { kind: 'exists', exists: condition.value } };
    case 'version':
      return { collection, key, condition: { kind: 'version', version: condition.value } };
    default: {
      const filter = parseWhere(condition.value, `compare[${String(at)}].where`);
      return { collection, key, condition: { kind: 'matches', filter } };
    }
  }
}

function batch({ results, commit }: Written): {
  results: ReturnType<typeof toWriteResult>[];
  commit?: ReturnType<typeof toCommit>;
} {
  return {
    results: results.map(toWriteResult),
    ...(commit === undefined ? {} : { commit: toCommit(commit) }),
  };
}

function single(written: Written): {
  result?: ReturnType<typeof toWriteResult>;
  commit?: ReturnType<typeof toCommit>;
} {
  const { results, commit } = batch(written);
  const [result] = results;
  return { ...(result && { result }), ...(commit && { commit }) };
}

function notFound(collection: string, key: string): DomainError {
  return new DomainError(
    'DOCUMENT_NOT_FOUND',
    `document '${key}' does not exist in collection '${collection}'`,
    { metadata: { collection, key } },
  );
}

function whereMissing(): DomainError {
  const problem = 'is missing; give a filter, {} for every document';
  return new DomainError('ARGUMENT_INVALID', `where ${problem}`, {
    metadata: { field: 'where' },
    violations: [{ field: 'where', description: problem }],
  });
}
