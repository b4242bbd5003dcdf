/**
 * What every watch must keep, as validators over recorded histories: the nine properties by which etcd
 * tests its own watch (bookmarkable, ordered, unique, atomic, reliable, resumable, previous value,
 * is-create, filter). A history is what an application got over any number of connections, and what
 * its writers know to be committed.
 */
import {
  WatchedChangeKind,
  WatchEventKind,
  type WatchedChange,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import { bodyOf } from '../../src/client/documents.ts';

/** One write that was acknowledged. */
export interface AcknowledgedWrite {
  readonly sequence: bigint;
  readonly collection: string;
  readonly key: string;
  /** The member `n` of the document; undefined for a deletion. */
  readonly n: number | undefined;
  /** Writes of one commit share this. */
  readonly commit: bigint;
}

/** Every violation found, in words; empty when all properties hold. */
export function violationsOf(
  messages: readonly WatchResponse[],
  acknowledged: readonly AcknowledgedWrite[],
): readonly string[] {
  return [
    ...ordered(messages),
    ...bookmarkable(messages),
    ...atomic(messages, acknowledged),
    ...reliable(messages, acknowledged),
    ...previousValues(messages),
  ];
}

/**
 * The members `n` of the documents of a collection by key, as a history tells them: those that it began
 * with and what became of them, up to a sequence.
 */
export function stateOf(
  messages: readonly WatchResponse[],
  collection: string,
  upTo?: bigint,
): ReadonlyMap<string, number> {
  const state = new Map<string, number>();
  for (const { kind, documents, changes } of messages) {
    if (kind === WatchEventKind.STARTED) state.clear();
    for (const change of [
      ...documents.map((document) => ({ document, ...document })),
      ...changes,
    ]) {
      const { key, document, sequence } = change;
      if (change.collection !== collection || sequence > (upTo ?? sequence)) continue;
      const n = numberOf(document);
      if (n === undefined) state.delete(key);
      else state.set(key, n);
    }
  }
  return state;
}

/** Ordered and unique: sequences only grow. */
function ordered(messages: readonly WatchResponse[]): readonly string[] {
  const found: string[] = [];
  let last = 0n;
  for (const { sequence, key } of messages.flatMap(({ changes }) => changes)) {
    if (sequence <= last) {
      found.push(`ordered: ${key} at ${String(sequence)} came after ${String(last)}`);
    }
    last = sequence;
  }
  return found;
}

/** Bookmarkable: nothing comes later that a message says to be told already. */
function bookmarkable(messages: readonly WatchResponse[]): readonly string[] {
  const found: string[] = [];
  let told = 0n;
  for (const { kind, sequence, changes } of messages) {
    for (const change of changes) {
      if (change.sequence <= told) {
        found.push(`bookmarkable: ${String(change.sequence)} came after a mark at ${String(told)}`);
      }
    }
    if (sequence < told) found.push(`bookmarkable: the mark went back to ${String(sequence)}`);
    if (kind !== WatchEventKind.STARTED) told = sequence;
  }
  return found;
}

/** Atomic: the writes of one commit come in one message. */
function atomic(
  messages: readonly WatchResponse[],
  acknowledged: readonly AcknowledgedWrite[],
): readonly string[] {
  const messageOf = new Map<bigint, number>();
  for (const [at, { changes }] of messages.entries()) {
    for (const { sequence } of changes) messageOf.set(sequence, at);
  }
  const found: string[] = [];
  for (const writes of Map.groupBy(acknowledged, ({ commit }) => commit).values()) {
    const places = new Set(writes.map(({ sequence }) => messageOf.get(sequence)));
    if (places.size > 1) {
      found.push(`atomic: the commit at ${String(writes[0]?.commit)} came in parts`);
    }
  }
  return found;
}

/** Reliable, and so resumable: everything acknowledged was told, as it was written. */
function reliable(
  messages: readonly WatchResponse[],
  acknowledged: readonly AcknowledgedWrite[],
): readonly string[] {
  const bySequence = new Map(
    messages.flatMap(({ changes }) => changes.map((change) => [change.sequence, change] as const)),
  );
  return acknowledged.flatMap(({ sequence, collection, key, n }) => {
    const change = bySequence.get(sequence);
    const name = `${collection}/${key} at ${String(sequence)}`;
    if (change === undefined) return [`reliable: ${name} was never told`];
    const isSame =
      change.collection === collection && change.key === key && numberOf(change.document) === n;
    return isSame ? [] : [`reliable: ${name} was told differently`];
  });
}

/** Previous value and is-create: each change names what the change before it left. */
function previousValues(messages: readonly WatchResponse[]): readonly string[] {
  const begunWith = messages.flatMap(({ documents }) => documents);
  const current = new Map<string, WatchedChange['document']>(
    begunWith.map((document) => [`${document.collection}/${document.key}`, document]),
  );
  return messages
    .flatMap(({ changes }) => changes)
    .flatMap((change) => {
      const name = `${change.collection}/${change.key}`;
      const before = current.get(name);
      current.set(name, change.document);
      const where = `${name} at ${String(change.sequence)}`;
      if (change.previous?.version !== before?.version) return [`previous: wrong for ${where}`];
      if (numberOf(change.previous) !== numberOf(before)) return [`previous: wrong for ${where}`];
      const isCreation = change.document !== undefined && before === undefined;
      return change.created === isCreation ? [] : [`is-create: wrong for ${where}`];
    });
}

/**
 * Filter: what a filtered watch was told is what the whole one implies. `isMatch` decides a document by
 * its member `n`.
 */
export function filterViolations(
  whole: readonly WatchResponse[],
  filtered: readonly WatchResponse[],
  isMatch: (n: number) => boolean,
): readonly string[] {
  const matches = (n: number | undefined): boolean => n !== undefined && isMatch(n);
  const upTo = filtered.flatMap(({ changes }) => changes).at(-1)?.sequence ?? 0n;
  const expected = whole
    .flatMap(({ changes }) => changes)
    .filter(({ sequence }) => sequence <= upTo)
    .flatMap(({ sequence, document, previous }) => {
      const isNow = matches(numberOf(document));
      const wasBefore = matches(numberOf(previous));
      if (!isNow && !wasBefore) return [];
      const left = document === undefined ? WatchedChangeKind.DELETED : WatchedChangeKind.LEFT;
      const entered = wasBefore ? WatchedChangeKind.CHANGED : WatchedChangeKind.ENTERED;
      return [`${String(sequence)} ${String(isNow ? entered : left)}`];
    });
  const told = filtered
    .flatMap(({ changes }) => changes)
    .map(({ sequence, kind }) => `${String(sequence)} ${String(kind)}`);
  const missing = expected.filter((one) => !told.includes(one));
  const extra = told.filter((one) => !expected.includes(one));
  return [
    ...missing.map((one) => `filter: ${one} was not told`),
    ...extra.map((one) => `filter: ${one} was told`),
  ];
}

function numberOf(document: WatchedChange['document']): number | undefined {
  return document === undefined ? undefined : Number(bodyOf(document)['n']);
}
