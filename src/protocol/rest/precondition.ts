import {
  create,
  isMessage,
  type DescField,
  type DescMethod,
  type Message,
} from '@bufbuild/protobuf';

import {
  DocumentSchema,
  PreconditionSchema,
  type Precondition,
} from '../../../gen/molten/v1/documents_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { FastifyRequest } from '../http/door.ts';

/** Puts what `if-match` and `if-none-match` demand into a request. */
export type PreconditionReader = (request: FastifyRequest, message: Message) => void;

/** The entity tag (RFC 9110 section 8.8.3) of an answer; undefined when it holds no document. */
export type TagReader = (message: Message) => string | undefined;

/** A version alone, or the tag of an answer: version and sequence. */
const ENTITY_TAG = /^"(\d{1,19})(?:\.(\d{1,19}))?"$/;

/**
 * Compiles the reader for RPCs whose request has a precondition: `if-match` with the tag of an answer is
 * that the document was not written since, `if-match: "3"` the version, `if-match: *` that it exists,
 * `if-none-match: *` that it does not. ARGUMENT_INVALID for other values, when the body has a
 * precondition too, and where nothing could heed it.
 */
export function compilePrecondition({ input }: DescMethod): PreconditionReader {
  const field = input.fields.find((one) => one.name === 'precondition');
  if (field === undefined) return refuseConditions;
  return ({ headers }, message) => {
    const match = headers['if-match'];
    const noneMatch = headers['if-none-match'];
    if (match === undefined && noneMatch === undefined) return;
    const members = message as unknown as Record<string, unknown>;
    if (
      members[field.localName] !== undefined ||
      (match !== undefined && noneMatch !== undefined)
    ) {
      throw new DomainError('ARGUMENT_INVALID', 'the request has two preconditions; give one');
    }
    members[field.localName] = match === undefined ? fromNoneMatch(noneMatch) : fromMatch(match);
  };
}

/** What a write cannot heed must not look as if it were. Reads may leave a condition aside. */
function refuseConditions({ method, headers }: FastifyRequest): void {
  if (method === 'GET' || method === 'HEAD') return;
  const header = ['if-match', 'if-none-match'].find((name) => headers[name] !== undefined);
  if (header === undefined) return;
  throw new DomainError(
    'ARGUMENT_INVALID',
    `the header ${header} is not taken here; only writes of one document are conditional by a header`,
    { metadata: { header } },
  );
}

function fromMatch(value: string): Precondition {
  if (value === '*') {
    return create(PreconditionSchema, { condition: { case: 'exists', value: true } });
  }
  const [, version, sequence] = ENTITY_TAG.exec(value) ?? [];
  if (sequence !== undefined) {
    const condition = { case: 'sequence', value: BigInt(sequence) } as const;
    return create(PreconditionSchema, { condition });
  }
  if (version === undefined) throw invalid('if-match', value);
  return create(PreconditionSchema, { condition: { case: 'version', value: BigInt(version) } });
}

function fromNoneMatch(value: string | undefined): Precondition {
  if (value !== '*') throw invalid('if-none-match', value ?? '');
  return create(PreconditionSchema, { condition: { case: 'exists', value: false } });
}

function invalid(header: string, value: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `the header ${header} is '${value}'; wants one strong entity tag such as "3.17", or *`,
    { metadata: { header } },
  );
}

/**
 * Reports whether `if-none-match` names a tag (RFC 9110 section 13.1.2): a list, compared weakly, or `*`.
 */
export function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(',').map((one) => one.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(tag);
}

/**
 * Compiles the reader of entity tags: version and sequence of the one document of an answer. The version
 * is for people; the sequence makes it unique, also for a document that was deleted and made anew.
 */
export function compileTag({ output }: DescMethod): TagReader {
  const field = output.fields.find(isDocument);
  if (field === undefined) return () => undefined;
  return (message) => {
    const value = (message as unknown as Readonly<Record<string, unknown>>)[field.localName];
    if (!isMessage(value, DocumentSchema)) return undefined;
    return `"${String(value.version)}.${String(value.sequence)}"`;
  };
}

function isDocument(field: DescField): boolean {
  return field.fieldKind === 'message' && field.message.typeName === DocumentSchema.typeName;
}
