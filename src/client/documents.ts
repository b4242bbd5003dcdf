import { create } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';

import {
  DocumentBodySchema,
  DocumentEncoding,
  type Document,
  type DocumentBody,
  type QueryDocumentsRequest,
} from '../../gen/molten/v1/documents_pb.ts';
import type { MoltenClient } from './client.ts';

/** A document as a plain object: its members, and the system fields by their names. */
export interface PlainDocument {
  readonly _key: string;
  readonly _v: number;
  readonly [name: string]: unknown;
}

/** A body to send, from any value that JSON can hold. */
export function toBody(value: unknown): DocumentBody {
  const json = new TextEncoder().encode(JSON.stringify(value));
  return create(DocumentBodySchema, { content: { case: 'json', value: json } });
}

/** The members of a document. Numbers are doubles; ask for the bytes to keep every digit. */
export function bodyOf({ content }: Document): Readonly<Record<string, unknown>> {
  switch (content.case) {
    case 'json':
      return JSON.parse(new TextDecoder().decode(content.value)) as Record<string, unknown>;
    case 'fields':
      return content.value;
    default:
      return {};
  }
}

/** A document with `_key` and `_v` before its members. */
export function toPlain(document: Document): PlainDocument {
  return { _key: document.key, _v: Number(document.version), ...bodyOf(document) };
}

/** A document with all system fields before its members. */
export function toPlainWithSystem(document: Document): PlainDocument {
  const { key, version, createSequence, createTime, updateTime, expireTime } = document;
  return {
    ...{ _key: key, _v: Number(version), _seq: Number(createSequence) },
    ...(createTime && { _createdAt: timestampDate(createTime).toISOString() }),
    ...(updateTime && { _modifiedAt: timestampDate(updateTime).toISOString() }),
    ...(expireTime && { _expiresAt: timestampDate(expireTime).toISOString() }),
    ...bodyOf(document),
  };
}

/** What every page of a query shares. */
export type PagedQuery = Partial<
  Pick<QueryDocumentsRequest, 'query' | 'pageSize' | 'readSequence' | 'offset'>
> & { readonly collection: string };

/** All documents of a query, page by page, as they are asked for. Bodies travel as exact JSON. */
export async function* queryAll(
  client: Pick<MoltenClient, 'documents'>,
  request: PagedQuery,
): AsyncIterable<Document> {
  let pageToken = '';
  do {
    const page = await client.documents.queryDocuments({
      ...request,
      ...{ pageToken, encoding: DocumentEncoding.JSON },
    });
    yield* page.documents;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
}
