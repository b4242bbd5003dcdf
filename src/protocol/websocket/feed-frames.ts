import { timestampMs } from '@bufbuild/protobuf/wkt';

import {
  WatchedChangeKind,
  type WatchedChange,
  type WatchResponse,
} from '../../../gen/molten/v1/watch_pb.ts';

/** A change in the words of MoltenDB 1.0. */
export interface FeedFrame {
  readonly event: 'change';
  readonly collection: string;
  /** `*` when all documents of the collection went. */
  readonly key: string;
  /** Null when the document is gone. */
  readonly new_v: number | null;
  /** Unix milliseconds; only when the document expires. */
  readonly expires_at_ms?: number;
}

/** The frames of one message of a watch; none for those that MoltenDB has no word for. */
export function feedFrames({ changes }: WatchResponse): readonly FeedFrame[] {
  return changes.map(toFrame);
}

function toFrame({ kind, collection, key, document }: WatchedChange): FeedFrame {
  const isWhole = kind === WatchedChangeKind.CLEARED || kind === WatchedChangeKind.DROPPED;
  if (isWhole) return { event: 'change', collection, key: '*', new_v: null };
  if (document === undefined) return { event: 'change', collection, key, new_v: null };
  const frame = { event: 'change', collection, key, new_v: Number(document.version) } as const;
  const { expireTime } = document;
  return expireTime === undefined ? frame : { ...frame, expires_at_ms: timestampMs(expireTime) };
}
