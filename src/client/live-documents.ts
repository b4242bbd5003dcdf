import type { MessageInitShape } from '@bufbuild/protobuf';

import {
  WatchedChangeKind,
  WatchEventKind,
  type WatchedChange,
  type WatchRequestSchema,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import type { MoltenClient } from './client.ts';
import { toPlain, type PlainDocument } from './documents.ts';
import { toMoltenError, type MoltenError } from './molten-error.ts';

/** What is watched; it always begins with the documents as they are. */
export type LiveQuery = Pick<MessageInitShape<typeof WatchRequestSchema>, 'targets' | 'fields'>;

/** The documents of a watch as they are now. A new object whenever anything changed. */
export interface LiveView {
  /** `connecting`: nothing is known yet. `live`: the documents are complete and kept up to date. */
  readonly status: 'connecting' | 'live' | 'ended';
  /** By collection and key, such as `orders/o1`. */
  readonly documents: ReadonlyMap<string, PlainDocument>;
  /** Why it ended; undefined while it goes on, or when the collection was dropped. */
  readonly error: MoltenError | undefined;
}

/** A view that somebody listens to. */
export interface LiveDocuments {
  view(): LiveView;
  /** Called after every change of the view; returns what ends that. */
  subscribe(listener: () => void): () => void;
  /** Ends the watch. */
  close(): void;
}

/** The view of a watch that has told nothing yet. */
export const EMPTY_VIEW: LiveView = {
  status: 'connecting',
  documents: new Map(),
  error: undefined,
};

/** Starts a watch and keeps its documents. */
export function openLiveDocuments(
  client: Pick<MoltenClient, 'watch'>,
  query: LiveQuery,
): LiveDocuments {
  return new WatchedDocuments(client, query);
}

class WatchedDocuments implements LiveDocuments {
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  /** Changed in place until the view is complete, then copied for each new view. */
  #documents = new Map<string, PlainDocument>();
  #view = EMPTY_VIEW;

  constructor(client: Pick<MoltenClient, 'watch'>, query: LiveQuery) {
    void this.#follow(client, query);
  }

  view(): LiveView {
    return this.#view;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  close(): void {
    this.#stop.abort();
    this.#listeners.clear();
  }

  async #follow(client: Pick<MoltenClient, 'watch'>, query: LiveQuery): Promise<void> {
    try {
      const request = { ...query, start: { case: 'initialState', value: true } } as const;
      for await (const message of client.watch(request, { signal: this.#stop.signal })) {
        this.#take(message);
      }
      this.#show({ status: 'ended' });
    } catch (error) {
      this.#show({ status: 'ended', error: toMoltenError(error) });
    }
  }

  #take({ kind, documents, changes }: WatchResponse): void {
    // It comes again when the watch had to begin anew: what was there before is void.
    if (kind === WatchEventKind.STARTED) this.#documents = new Map();
    for (const one of documents) this.#documents.set(`${one.collection}/${one.key}`, toPlain(one));
    if (changes.length > 0) this.#documents = new Map(this.#documents);
    for (const change of changes) this.#apply(change);
    if (kind === WatchEventKind.CURRENT || changes.length > 0) this.#show({ status: 'live' });
  }

  #apply({ kind, collection, key, document }: WatchedChange): void {
    const name = `${collection}/${key}`;
    const isWhole = kind === WatchedChangeKind.CLEARED || kind === WatchedChangeKind.DROPPED;
    if (document !== undefined) this.#documents.set(name, toPlain(document));
    else if (isWhole) this.#forget(collection);
    else this.#documents.delete(name);
  }

  #forget(collection: string): void {
    for (const name of this.#documents.keys()) {
      if (name.startsWith(`${collection}/`)) this.#documents.delete(name);
    }
  }

  #show(change: Partial<LiveView>): void {
    this.#view = { ...this.#view, documents: this.#documents, ...change };
    for (const listener of this.#listeners) listener();
  }
}
