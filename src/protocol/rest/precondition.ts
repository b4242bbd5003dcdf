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

const ENTITY_TAG = /^(?:W\/)?"(\d{1,20})"$/;

/**
 * Compiles the reader for RPCs whose request has a precondition: `if-match: "3"` is the version,
 * `if-match: *` that it exists, `if-none-match: *` that it does not. ARGUMENT_INVALID for other values,
 * and when the body has a precondition too.
 */
export function compilePrecondition({ input }: DescMethod): PreconditionReader {
  const field = input.fields.find((one) => one.name === 'precondition');
  if (field === undefined) return () => undefined;
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

function fromMatch(value: string): Precondition {
  if (value === '*') {
    return create(PreconditionSchema, { condition: { case: 'exists', value: true } });
  }
  const version = ENTITY_TAG.exec(value)?.[1];
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
    `the header ${header} is '${value}'; wants one entity tag such as "3", or *`,
    { metadata: { header } },
  );
}

/** Compiles the reader of entity tags: the version of the one document of an answer. */
export function compileTag({ output }: DescMethod): TagReader {
  const field = output.fields.find(isDocument);
  if (field === undefined) return () => undefined;
  return (message) => {
    const value = (message as unknown as Readonly<Record<string, unknown>>)[field.localName];
    return isMessage(value, DocumentSchema) ? `"${String(value.version)}"` : undefined;
  };
}

function isDocument(field: DescField): boolean {
  return field.fieldKind === 'message' && field.message.typeName === DocumentSchema.typeName;
}
