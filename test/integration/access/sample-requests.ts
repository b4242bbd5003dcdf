import {
  create,
  ScalarType,
  toJson,
  type DescField,
  type DescMessage,
  type DescMethod,
  type Message,
} from '@bufbuild/protobuf';
import { createValidator, type Violation } from '@bufbuild/protovalidate';

const validator = createValidator();
const ATTEMPTS = 8;

/**
 * A request that its rules in the proto accept, made from the rules alone: whatever they find wanting is
 * given the plainest value of its type. On documents it names `things/k1`.
 */
export function sampleOf(method: DescMethod): Message {
  const { input } = method;
  const request = create(input) as Message & Record<string, unknown>;
  for (const field of input.fields) {
    if (field.name === 'collection') request[field.localName] = 'things';
    if (field.name === 'key') request[field.localName] = 'k1';
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const result = validator.validate(input, request);
    if (result.kind === 'valid') return request;
    if (result.kind === 'error') throw result.error;
    for (const { field } of result.violations) {
      const [first] = input.fields;
      // What a rule of the whole message finds wanting, its first field may be.
      if (field.length === 0 && first !== undefined) request[first.localName] = plainest(first);
      fillAt(request, field);
    }
  }
  const text = JSON.stringify(toJson(input, request));
  throw new Error(`no sample of ${input.typeName} is valid: ${text}`);
}

type Place = Record<string | number, unknown>;

/** Gives the field that a violation names the plainest value, wherever in the request it is. */
function fillAt(request: Place, path: Violation['field']): void {
  let place = request;
  for (const [at, step] of path.entries()) {
    const isLast = at === path.length - 1;
    if (step.kind === 'oneof') fillOneof(place, step.localName, step.fields[0]);
    if (step.kind === 'field' && isLast) place[step.localName] = plainest(step);
    else if (step.kind === 'field') place = place[step.localName] as Place;
    // Of texts in lists that are not taken as they are, all are addresses.
    else if (step.kind === 'list_sub' && isLast) place[step.index] = '192.0.2.1';
    else if (step.kind === 'list_sub') place = place[step.index] as Place;
  }
}

function fillOneof(message: Place, name: string, field?: DescField): void {
  if (field === undefined) return;
  message[name] = { case: field.localName, value: plainest(field) };
}

function plainest(field: DescField): unknown {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarOf(field.scalar);
    case 'enum':
      return 1;
    case 'message':
      return sampleMessage(field.message);
    case 'list':
      if (field.listKind === 'scalar') return [scalarOf(field.scalar)];
      return [field.listKind === 'message' ? sampleMessage(field.message) : 1];
    case 'map':
      return { x: 'x' };
  }
}

function sampleMessage(message: DescMessage): Message {
  const made = create(message) as Message & Record<string, unknown>;
  if (message.typeName === 'google.protobuf.Struct') return made;
  const [oneof] = message.oneofs;
  if (oneof !== undefined) fillOneof(made, oneof.localName, oneof.fields[0]);
  for (const field of message.fields) {
    if (field.name === 'collection') made[field.localName] = 'things';
    if (field.name === 'key') made[field.localName] = 'k1';
  }
  return made;
}

function scalarOf(type: ScalarType): unknown {
  switch (type) {
    case ScalarType.STRING:
      return 'x';
    case ScalarType.BYTES:
      return Uint8Array.of(123, 125);
    case ScalarType.BOOL:
      return true;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return 1n;
    default:
      return 1;
  }
}
