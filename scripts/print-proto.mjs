/**
 * Prints a FileDescriptorProto as proto2 source.
 *
 * Structure only: comments, options and defaults are dropped. That is enough to compile files that
 * import it, because the validator reads its rules through its own full descriptor.
 */

/** Names of the scalar types, by the number in FieldDescriptorProto.Type. */
const SCALARS = {
  1: 'double',
  2: 'float',
  3: 'int64',
  4: 'uint64',
  5: 'int32',
  6: 'fixed64',
  7: 'fixed32',
  8: 'bool',
  9: 'string',
  12: 'bytes',
  13: 'uint32',
  15: 'sfixed32',
  16: 'sfixed64',
  17: 'sint32',
  18: 'sint64',
};
const TYPE_MESSAGE = 11;
const TYPE_ENUM = 14;
const LABELS = { 1: 'optional ', 2: 'required ', 3: 'repeated ' };
/** One past the largest field number; a range that ends here is written `to max`. */
const FIELD_NUMBER_END = 536_870_912;

/** Prints `file`; the result ends with a newline. */
export function printProto(file) {
  if (file.syntax !== '' && file.syntax !== 'proto2') {
    throw new Error(
      `cannot print ${file.name}: its syntax is ${file.syntax}, only proto2 is supported`,
    );
  }
  const lines = ['syntax = "proto2";', '', `package ${file.package};`, ''];
  for (const path of file.dependency) lines.push(`import "${path}";`);
  for (const extension of file.extension) {
    lines.push('', `extend ${extension.extendee} {`, `  ${printField(extension, false)}`, '}');
  }
  for (const type of file.enumType) lines.push('', ...printEnum(type));
  for (const type of file.messageType) lines.push('', ...printMessage(type));
  return `${lines.join('\n')}\n`;
}

function printMessage(message) {
  if (message.nestedType.some((type) => type.options?.mapEntry)) {
    throw new Error(`cannot print ${message.name}: map fields are not supported`);
  }
  const body = [];
  for (const { start, end } of message.extensionRange) {
    body.push(`extensions ${start} to ${end >= FIELD_NUMBER_END ? 'max' : end - 1};`);
  }
  for (const { start, end } of message.reservedRange) body.push(`reserved ${start} to ${end - 1};`);
  for (const name of message.reservedName) body.push(`reserved "${name}";`);
  for (const type of message.enumType) body.push(...printEnum(type));
  for (const type of message.nestedType) body.push(...printMessage(type));
  for (const field of message.field) if (!isInOneof(field)) body.push(printField(field, false));
  message.oneofDecl.forEach((oneof, index) => {
    const fields = message.field.filter((field) => isInOneof(field) && field.oneofIndex === index);
    if (fields.length === 0) return;
    body.push(
      `oneof ${oneof.name} {`,
      ...fields.map((field) => `  ${printField(field, true)}`),
      '}',
    );
  });
  return block(`message ${message.name}`, body);
}

function printEnum(type) {
  const body = type.options?.allowAlias ? ['option allow_alias = true;'] : [];
  for (const value of type.value) body.push(`${value.name} = ${value.number};`);
  for (const { start, end } of type.reservedRange) body.push(`reserved ${start} to ${end};`);
  for (const name of type.reservedName) body.push(`reserved "${name}";`);
  return block(`enum ${type.name}`, body);
}

function printField(field, inOneof) {
  const isNamed = field.type === TYPE_MESSAGE || field.type === TYPE_ENUM;
  const type = isNamed ? field.typeName : SCALARS[field.type];
  if (type === undefined) throw new Error(`cannot print ${field.name}: unknown type ${field.type}`);
  return `${inOneof ? '' : LABELS[field.label]}${type} ${field.name} = ${field.number};`;
}

/** Unset scalars of a proto2 message live on its prototype, so that only an own index counts. */
function isInOneof(field) {
  return (
    Object.hasOwn(field, 'oneofIndex') && field.oneofIndex !== undefined && !field.proto3Optional
  );
}

function block(head, body) {
  return [`${head} {`, ...body.map((line) => `  ${line}`), '}'];
}
