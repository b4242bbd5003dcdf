/**
 * Watching: an ordered stream of everything that happens to chosen documents, from a point in the log
 * on. The words follow Firestore's Listen (targets, initial state, CURRENT) and etcd's Watch (commits
 * that are never split, bookmarks, compaction).
 */
import type { Json, RemovalCause, Sequence, StoredDocument } from '../../storage/types.ts';

/** Which documents are watched. */
export interface WatchTarget {
  /** Empty: every collection the caller may read. */
  readonly collection: string;
  /** At most 1,000. Empty: every key that `keyPrefix` takes. */
  readonly keys: readonly string[];
  /** Empty: every key. */
  readonly keyPrefix: string;
  /** A filter as queries have it, without joins; undefined matches everything. */
  readonly where: Json | undefined;
}

/** Where a watch starts. */
export type WatchStart =
  | { readonly kind: 'now' }
  /** Every change after this sequence; 0: from the beginning of the log. */
  | { readonly kind: 'after'; readonly sequence: Sequence }
  | { readonly kind: 'resume'; readonly token: string }
  /** The documents as they are, then every later change. */
  | { readonly kind: 'initial' };

/** What a caller asks for. */
export interface WatchRequest {
  /** 1 to 32; a change that concerns any of them is told once. */
  readonly targets: readonly WatchTarget[];
  readonly start: WatchStart;
  /** Dotted paths of the members to show; empty: all. */
  readonly fields: readonly string[];
  /** Also tell what each change replaced. */
  readonly withPrevious: boolean;
  /** Commits with more than FRAGMENT_CHARS of bodies come in several events. */
  readonly fragment: boolean;
}

/**
 * What happened: a document came to be or began to match (`entered`), stayed and changed, stopped
 * matching (`left`), was deleted; all documents of a collection went (`cleared`), or the collection
 * with them (`dropped`).
 */
export type ChangeKind = 'entered' | 'changed' | 'left' | 'deleted' | 'cleared' | 'dropped';

/** One change that concerns a watcher. */
export interface WatchedChange {
  readonly kind: ChangeKind;
  readonly collection: string;
  /** Empty when a collection was cleared or dropped. */
  readonly key: string;
  readonly sequence: Sequence;
  /** The document did not exist before. */
  readonly isCreation: boolean;
  /** Set on removals nobody asked for. */
  readonly cause: RemovalCause | undefined;
  /** The document as it is after the change; undefined when it is gone or no longer matches. */
  readonly document: StoredDocument | undefined;
  /** The document before the change, when asked for. */
  readonly previous: StoredDocument | undefined;
}

/** Why a watch ended though its caller did not end it. */
export type WatchEndReason =
  | 'revoked'
  | 'expired'
  | 'tooSlow'
  | 'compacted'
  | 'collectionDropped'
  | 'shuttingDown'
  | 'outOfStep';

interface WatchPoint {
  /** Every change up to here was told. */
  readonly sequence: Sequence;
  /** Starts again right after `sequence`; empty before the initial state is complete. */
  readonly resumeToken: string;
}

/** What a watcher is told, in this order: started, documents, current, then the others. */
export type WatchEvent = WatchPoint &
  (
    | { readonly kind: 'started' | 'current' | 'bookmark' }
    | { readonly kind: 'documents'; readonly documents: readonly StoredDocument[] }
    | {
        readonly kind: 'commit';
        readonly timestampMs: number;
        readonly changes: readonly WatchedChange[];
        /** More of the same commit follows; only when fragments were asked for. */
        readonly hasMore: boolean;
      }
    | { readonly kind: 'end'; readonly reason: WatchEndReason }
  );
