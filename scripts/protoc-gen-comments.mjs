#!/usr/bin/env node
/**
 * A protoc plugin: writes the comments of the contract into one module, by full name, so that the
 * OpenAPI document can carry them. Generated code itself keeps them only as docstrings.
 */
import { createEcmaScriptPlugin, getComments, runNodeJs } from '@bufbuild/protoplugin';

const plugin = createEcmaScriptPlugin({
  name: 'protoc-gen-comments',
  version: 'v1',
  generateTs(schema) {
    const comments = new Map();
    for (const file of schema.files) {
      if (!file.proto.package.startsWith('molten.')) continue;
      for (const service of file.services) {
        note(comments, service.typeName, service);
        for (const method of service.methods) {
          note(comments, `${service.typeName}.${method.name}`, method);
        }
      }
      for (const message of file.messages) noteMessage(comments, message);
      for (const type of file.enums) noteEnum(comments, type);
    }
    const output = schema.generateFile('molten/v1/comments.ts');
    output.preamble(schema.files.find(({ proto }) => proto.package.startsWith('molten.')));
    output.print('/** Comments of the contract by full name. */');
    output.print('export const COMMENTS: Readonly<Record<string, string>> = {');
    for (const [name, text] of [...comments].sort(([a], [b]) => (a < b ? -1 : 1))) {
      output.print('  ', JSON.stringify(name), ': ', JSON.stringify(text), ',');
    }
    output.print('};');
  },
});

function noteMessage(comments, message) {
  note(comments, message.typeName, message);
  for (const field of message.fields) note(comments, `${message.typeName}.${field.name}`, field);
  for (const nested of message.nestedMessages) noteMessage(comments, nested);
  for (const type of message.nestedEnums) noteEnum(comments, type);
}

function noteEnum(comments, type) {
  note(comments, type.typeName, type);
  for (const value of type.values) note(comments, `${type.typeName}.${value.name}`, value);
}

function note(comments, name, descriptor) {
  const text = getComments(descriptor).leading;
  if (text !== undefined) comments.set(name, text.replace(/\s+/g, ' ').trim());
}

runNodeJs(plugin);
