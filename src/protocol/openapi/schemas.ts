import {
  getOption,
  hasOption,
  ScalarType,
  type DescEnum,
  type DescField,
  type DescMessage,
} from '@bufbuild/protobuf';
import { field as fieldRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';

import { COMMENTS } from '../../../gen/molten/v1/comments.ts';

/** A JSON Schema (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Schemas of messages and enums, each written once and referred to by name. */
export interface Schemas {
  /** A reference to the schema of a message. */
  of(message: DescMessage): JsonSchema;
  ofField(field: DescField): JsonSchema;
  /** An object of some fields of a message. */
  object(message: DescMessage, fields: readonly DescField[]): JsonSchema;
  all(): Readonly<Record<string, JsonSchema>>;
}

/** The JSON forms of the well-known types (ProtoJSON). */
const WELL_KNOWN: Readonly<Record<string, JsonSchema>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?\\d+(\\.\\d{1,9})?s$' },
  'google.protobuf.FieldMask': { type: 'string' },
  'google.protobuf.Struct': { type: 'object' },
  'google.protobuf.Value': {},
  'google.protobuf.ListValue': { type: 'array', items: {} },
};

/** Creates an empty collection of schemas. */
export function createSchemas(): Schemas {
  return new DescriptorSchemas();
}

class DescriptorSchemas implements Schemas {
  readonly #written: Record<string, JsonSchema> = {};

  all(): Readonly<Record<string, JsonSchema>> {
    return this.#written;
  }

  of(message: DescMessage): JsonSchema {
    const known = WELL_KNOWN[message.typeName];
    if (known !== undefined) return known;
    const { name } = message;
    if (!(name in this.#written)) {
      // Before its fields, for a message may hold itself.
      this.#written[name] = {};
      this.#written[name] = this.object(message, message.fields);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  object(message: DescMessage, fields: readonly DescField[]): JsonSchema {
    const description = COMMENTS[message.typeName];
    const properties = fields.map((field) => [
      field.jsonName,
      withComment(this.ofField(field), COMMENTS[`${message.typeName}.${field.name}`]),
    ]);
    return {
      type: 'object',
      ...(description === undefined ? {} : { description }),
      properties: Object.fromEntries(properties) as JsonSchema,
      additionalProperties: false,
    };
  }

  ofField(field: DescField): JsonSchema {
    switch (field.fieldKind) {
      case 'scalar':
        return { ...scalarSchema(field.scalar), ...boundsOf(field) };
      case 'enum':
        return this.#ofEnum(field.enum);
      case 'message':
        return this.of(field.message);
      case 'list':
        return { type: 'array', items: this.#ofItem(field), ...boundsOf(field) };
      case 'map':
        return { type: 'object', additionalProperties: this.#ofItem(field) };
    }
  }

  #ofItem(field: Extract<DescField, { fieldKind: 'list' | 'map' }>): JsonSchema {
    if (field.message !== undefined) return this.of(field.message);
    if (field.enum !== undefined) return this.#ofEnum(field.enum);
    return scalarSchema(field.scalar);
  }

  #ofEnum(type: DescEnum): JsonSchema {
    const { name } = type;
    this.#written[name] ??= {
      type: 'string',
      description: COMMENTS[type.typeName] ?? '',
      enum: type.values.map((value) => value.name),
    };
    return { $ref: `#/components/schemas/${name}` };
  }
}

function withComment(schema: JsonSchema, description: string | undefined): JsonSchema {
  return description === undefined ? schema : { ...schema, description };
}

function scalarSchema(scalar: ScalarType): JsonSchema {
  switch (scalar) {
    case ScalarType.BOOL:
      return { type: 'boolean' };
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number' };
    case ScalarType.STRING:
      return { type: 'string' };
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return { type: 'string', pattern: '^-?\\d+$' };
    default:
      return { type: 'integer' };
  }
}

/** The bounds that protovalidate enforces, where JSON Schema has a word for them. */
function boundsOf(field: DescField): JsonSchema {
  if (!hasOption(field, fieldRules)) return {};
  const { type } = getOption(field, fieldRules);
  switch (type.case) {
    case 'string':
      return definedIn({ minLength: type.value.minLen, maxLength: type.value.maxLen });
    case 'repeated':
      return definedIn({ minItems: type.value.minItems, maxItems: type.value.maxItems });
    default:
      return {};
  }
}

function definedIn(bounds: Readonly<Record<string, bigint>>): JsonSchema {
  const given = Object.entries(bounds).filter(([, bound]) => bound > 0n);
  return Object.fromEntries(given.map(([name, bound]) => [name, Number(bound)]));
}
