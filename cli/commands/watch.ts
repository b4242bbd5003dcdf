import { toJson, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { DocumentEncoding, type Document } from '../../gen/molten/v1/documents_pb.ts';
import {
  WatchEventKind,
  WatchEventKindSchema,
  WatchedChangeKindSchema,
  WatchResponseSchema,
  type WatchedChange,
  type WatchRequestSchema,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import { toPlain } from '../../src/client/documents.ts';
import { readObject, wholeIn } from '../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import { listOf } from '../lib/query-flags.ts';
import { toText } from '../lib/table.ts';

interface WatchFlags {
  readonly key?: readonly string[];
  readonly prefix?: string;
  readonly where?: string;
  readonly fields?: string;
  readonly initial?: boolean;
  readonly previous?: boolean;
  readonly after?: string;
  readonly resume?: string;
  readonly count?: number;
}

/** Follows changes. */
export default class Watch extends MoltenCommand {
  static override readonly enableJsonFlag: boolean = false;
  static override readonly summary = 'Follow changes as they happen.';
  static override readonly description =
    'One JSON object a line, or, on a terminal, one change a line. A broken connection is resumed: every change comes once, in order. Ends with Ctrl-C, after --count changes, or when the collection is dropped.';
  static override readonly examples: string[] = [
    '<%= config.bin %> watch cities --initial',
    `<%= config.bin %> watch orders --where '{"total":{"$gt":100}}' --previous`,
  ];
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection. Otherwise all you may read.' }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    key: Flags.string({ char: 'k', description: 'Only this key.', multiple: true }),
    prefix: Flags.string({ description: 'Only keys that start with this.' }),
    where: Flags.string({
      char: 'w',
      description: 'The filter: JSON, @file, or - for standard input.',
    }),
    fields: Flags.string({ char: 'f', description: 'Only these paths, with commas between them.' }),
    initial: Flags.boolean({ description: 'Begin with the documents as they are.' }),
    previous: Flags.boolean({ description: 'Also show what each change replaced.' }),
    after: Flags.string({
      description: 'Begin after this sequence.',
      exclusive: ['initial', 'resume'],
    }),
    resume: Flags.string({
      description: 'Begin where this token was given out.',
      exclusive: ['initial', 'after'],
    }),
    count: Flags.integer({ char: 'n', description: 'End after so many changes.', min: 1 }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Watch);
    const client = this.client(flags as unknown as ServerFlags);
    const wanted = flags as WatchFlags;
    const request = requestOf(args['collection'] as string | undefined, wanted);
    const onInterruption = ({ message }: Error): void => {
      this.logToStderr(`connecting again: ${message}`);
    };
    let count = 0;
    for await (const message of client.watch(request, { onInterruption })) {
      count += this.#show(message);
      if (count >= (wanted.count ?? Infinity)) return;
    }
    this.logToStderr('the collection was dropped');
  }

  /** Prints a message; returns how many changes it had. */
  #show(message: WatchResponse): number {
    if (message.kind === WatchEventKind.BOOKMARK) return 0;
    if (process.stdout.isTTY) this.#showLines(message);
    else this.log(JSON.stringify(toLine(message)));
    return message.changes.length;
  }

  #showLines({ kind, sequence, commitTime, documents, changes }: WatchResponse): void {
    for (const one of documents) this.log(`is       ${nameOf(one)} ${textOf(one)}`);
    if (kind === WatchEventKind.CURRENT) {
      this.logToStderr(`that was all as of sequence ${String(sequence)}; changes follow`);
    }
    const time = commitTime === undefined ? '' : timestampDate(commitTime).toISOString();
    for (const change of changes) {
      const document = change.document === undefined ? '' : textOf(change.document);
      const word = wordOf(change).padEnd(8);
      this.log(`${word} ${nameOf(change)} ${document}  ${time}`);
    }
  }
}

function requestOf(
  collection: string | undefined,
  flags: WatchFlags,
): MessageInitShape<typeof WatchRequestSchema> {
  const { key = [], prefix = '', where, fields } = flags;
  const target = {
    ...{ collection: collection ?? '', keys: [...key], keyPrefix: prefix },
    ...(where === undefined ? {} : { where: readObject(where, '--where') as JsonObject }),
  };
  return {
    ...{ targets: [target], includePrevious: flags.previous === true, fragment: true },
    ...{ fields: listOf(fields), encoding: DocumentEncoding.JSON },
    ...startOf(flags),
  };
}

function startOf({
  initial,
  after,
  resume,
}: WatchFlags): Pick<MessageInitShape<typeof WatchRequestSchema>, 'start'> {
  if (initial === true) return { start: { case: 'initialState', value: true } };
  if (after !== undefined)
    return { start: { case: 'afterSequence', value: wholeIn(after, '--after') } };
  return resume === undefined ? {} : { start: { case: 'resumeToken', value: resume } };
}

/** A message in JSON, with documents as plain objects. */
function toLine(message: WatchResponse): object {
  const json = toJson(WatchResponseSchema, { ...message, documents: [], changes: [] });
  return {
    ...(json as JsonObject),
    kind: kindOf(message),
    ...(message.documents.length === 0 ? {} : { documents: message.documents.map(toPlain) }),
    ...(message.changes.length === 0 ? {} : { changes: message.changes.map(toChange) }),
  };
}

function toChange(change: WatchedChange): object {
  const { collection, key, sequence, document, previous } = change;
  return {
    ...{ kind: wordOf(change), collection, key, sequence: String(sequence) },
    ...(document && { document: toPlain(document) }),
    ...(previous && { previous: toPlain(previous) }),
  };
}

function kindOf({ kind }: WatchResponse): string {
  return WatchEventKindSchema.value[kind]?.localName.toLowerCase() ?? 'unknown';
}

function wordOf({ kind }: WatchedChange): string {
  return WatchedChangeKindSchema.value[kind]?.localName.toLowerCase() ?? 'unknown';
}

function nameOf({
  collection,
  key,
}: {
  readonly collection: string;
  readonly key: string;
}): string {
  return `${collection}/${key === '' ? '*' : key}`;
}

function textOf(document: Document): string {
  return toText(toPlain(document));
}
