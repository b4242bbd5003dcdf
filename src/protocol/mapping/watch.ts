import { create, type MessageInitShape } from '@bufbuild/protobuf';

import { DocumentEncoding, type Document } from '../../../gen/molten/v1/documents_pb.ts';
import {
  RemovalCause,
  WatchedChangeKind,
  WatchedChangeSchema,
  WatchEndReason,
  WatchEventKind,
  type WatchedChange as ChangeMessage,
  type WatchRequest as RequestMessage,
  WatchResponseSchema,
  type WatchResponse,
} from '../../../gen/molten/v1/watch_pb.ts';
import { toSequence, type StoredDocument } from '../../domain/documents/model.ts';
import type {
  WatchedChange,
  WatchEvent,
  WatchRequest,
  WatchStart,
} from '../../domain/watch/model.ts';
import { toDocument } from './document.ts';
import { toTimestamp } from './time.ts';

/** What a caller asks to watch, for the domain to check. */
export function fromWatchRequest(request: RequestMessage): WatchRequest {
  const { targets, start, fields, includePrevious: withPrevious, fragment } = request;
  return {
    targets: targets.map(({ collection, keys, keyPrefix, where }) => ({
      ...{ collection, keys, keyPrefix, where },
    })),
    start: fromStart(start),
    ...{ fields, withPrevious, fragment },
  };
}

function fromStart(start: RequestMessage['start']): WatchStart {
  switch (start.case) {
    case 'afterSequence':
      return { kind: 'after', sequence: toSequence(start.value) };
    case 'resumeToken':
      return { kind: 'resume', token: start.value };
    case 'initialState':
      return { kind: 'initial' };
    default:
      return { kind: 'now' };
  }
}

/** An event as callers see it. All who are told the same are given the same message. */
export function toWatchResponse(event: WatchEvent, encoding: DocumentEncoding): WatchResponse {
  const [first] = event.kind === 'commit' ? event.changes : [];
  if (first === undefined) return makeResponse(event, encoding);
  const known = told.get(first) ?? [];
  const same = known.find((one) => isSame(one, { event, encoding }));
  if (same !== undefined) return same.message;
  const message = makeResponse(event, encoding);
  told.set(first, [{ event, encoding, message }, ...known.slice(0, TOLD_MAX - 1)]);
  return message;
}

/** What was told, and the words for it. */
interface Told {
  readonly event: WatchEvent;
  readonly encoding: DocumentEncoding;
  readonly message: WatchResponse;
}

/** Kinds of watchers that are told of a commit, by encoding and by what of it concerns them. */
const TOLD_MAX = 4;

/** What was told last of a commit that begins with a change, to so many kinds of watchers. */
const told = new WeakMap<WatchedChange, readonly Told[]>();

function isSame(known: Told, { event, encoding }: Omit<Told, 'message'>): boolean {
  const before = known.event;
  if (before.kind !== 'commit' || event.kind !== 'commit') return false;
  if (known.encoding !== encoding || before.resumeToken !== event.resumeToken) return false;
  if (before.hasMore !== event.hasMore || before.changes.length !== event.changes.length) {
    return false;
  }
  return before.changes.every((change, at) => change === event.changes[at]);
}

function makeResponse(event: WatchEvent, encoding: DocumentEncoding): WatchResponse {
  return create(WatchResponseSchema, initOf(event, encoding));
}

function initOf(
  event: WatchEvent,
  encoding: DocumentEncoding,
): MessageInitShape<typeof WatchResponseSchema> {
  const { sequence, resumeToken } = event;
  const point = { kind: EVENT_KINDS[event.kind], sequence, resumeToken };
  switch (event.kind) {
    case 'documents':
      return { ...point, documents: event.documents.map((one) => documentOf(one, encoding)) };
    case 'commit':
      return {
        ...{ ...point, hasMore: event.hasMore, commitTime: toTimestamp(event.timestampMs) },
        changes: event.changes.map((one) => toChange(one, encoding)),
      };
    case 'end':
      return { ...point, end: END_REASONS[event.reason] };
    default:
      return point;
  }
}

function toChange(change: WatchedChange, encoding: DocumentEncoding): ChangeMessage {
  const { collection, key, sequence, isCreation: created, document, previous } = change;
  return create(WatchedChangeSchema, {
    ...{ collection, key, sequence, created, kind: CHANGE_KINDS[change.kind] },
    cause: change.cause === undefined ? RemovalCause.UNSPECIFIED : CAUSES[change.cause],
    ...(document && { document: documentOf(document, encoding) }),
    ...(previous && { previous: documentOf(previous, encoding) }),
  });
}

/** One document goes to many watchers; its message is made once per encoding. */
const structs = new WeakMap<StoredDocument, Document>();
const texts = new WeakMap<StoredDocument, Document>();

function documentOf(document: StoredDocument, encoding: DocumentEncoding): Document {
  const made = encoding === DocumentEncoding.JSON ? texts : structs;
  let message = made.get(document);
  if (message === undefined) {
    message = toDocument(document, encoding);
    made.set(document, message);
  }
  return message;
}

const EVENT_KINDS = {
  started: WatchEventKind.STARTED,
  documents: WatchEventKind.DOCUMENTS,
  current: WatchEventKind.CURRENT,
  commit: WatchEventKind.COMMIT,
  bookmark: WatchEventKind.BOOKMARK,
  end: WatchEventKind.END,
} as const;

const CHANGE_KINDS = {
  entered: WatchedChangeKind.ENTERED,
  changed: WatchedChangeKind.CHANGED,
  left: WatchedChangeKind.LEFT,
  deleted: WatchedChangeKind.DELETED,
  cleared: WatchedChangeKind.CLEARED,
  dropped: WatchedChangeKind.DROPPED,
} as const;

const CAUSES = { expired: RemovalCause.EXPIRED, evicted: RemovalCause.EVICTED } as const;

const END_REASONS = {
  revoked: WatchEndReason.REVOKED,
  expired: WatchEndReason.EXPIRED,
  tooSlow: WatchEndReason.TOO_SLOW,
  compacted: WatchEndReason.COMPACTED,
  collectionDropped: WatchEndReason.COLLECTION_DROPPED,
  shuttingDown: WatchEndReason.SHUTTING_DOWN,
  outOfStep: WatchEndReason.OUT_OF_STEP,
} as const;
