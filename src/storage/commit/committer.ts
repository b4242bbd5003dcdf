/**
 * Applies one transaction to the store, inside the engine's own open transaction.
 *
 * Everything is checked where it is done: what the callback saw, preconditions in the order of the
 * operations, unique values at the end. What fails takes back its own changes and leaves
 * the other transactions of the same group commit alone.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { RequestIdentity } from '../engine.ts';
import type { CollectionSettings } from '../types.ts';
import type { WriterCatalog } from './catalog.ts';
import { createDocumentWriter, type DocumentWriter } from './document-writer.ts';
import type { LogWriter } from './log-writer.ts';
import {
  refusalOf,
  type Answer,
  type CommitOutcome,
  type CommitRequest,
  type Operation,
  type Refusal,
  type SeenCollection,
  type WrittenDocument,
} from './operations.ts';
import { collectionNotFound } from './refusals.ts';
import { CAUSE, ENTRY_KIND } from './rows.ts';
import type { AnswerStore, CommitStore } from './store.ts';

/** What a committer works on. */
export interface CommitterParts {
  readonly store: CommitStore;
  readonly catalog: WriterCatalog;
  readonly log: LogWriter;
  /** What an error that is no rule of ours means to a caller; throws it when the whole group must fail. */
  readonly refuse: (error: unknown) => Refusal;
}

/** Applies transactions one after the other. */
export interface Committer {
  apply(request: CommitRequest): CommitOutcome;
  /** Removes at most `limit` documents beyond the bounds of collections; reports how many. */
  trim(limit: number): number;
}

/** More evictions than this in one commit are left to later ones, so that no commit takes for ever. */
const EVICTIONS_PER_COMMIT = 10_000;

/** Creates the committer of a writer. */
export function createCommitter(parts: CommitterParts): Committer {
  return new StoreCommitter(parts);
}

class StoreCommitter implements Committer {
  readonly #parts: CommitterParts;
  readonly #documents: DocumentWriter;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#documents = createDocumentWriter(parts);
  }

  apply(request: CommitRequest): CommitOutcome {
    const { store, catalog, log, refuse } = this.#parts;
    const identity = request.request;
    const remembered = identity && findAnswer(store.answers, identity);
    if (remembered !== undefined) return remembered;
    if (!this.#isAsSeen(request)) return { kind: 'changed' };
    const start = log.mark();
    store.begin();
    catalog.begin();
    this.#documents.begin();
    try {
      const answer = this.#run(request);
      if (identity !== undefined) {
        store.answers.remember(identity, JSON.stringify(answer), log.nowMs());
      }
      store.release();
      return { kind: 'committed', answer };
    } catch (error) {
      store.rollback();
      catalog.rollback();
      log.rewind(start);
      return { kind: 'refused', refusal: refuse(error) };
    }
  }

  trim(limit: number): number {
    this.#parts.log.beginCommit();
    this.#documents.begin();
    return this.#evict(limit);
  }

  #isAsSeen({ seen, seenCollections }: CommitRequest): boolean {
    return (
      seenCollections.every((collection) => isRevision(this.#parts.catalog, collection)) &&
      seen.every((document) => this.#documents.sequenceOf(document) === document.sequence)
    );
  }

  #run({ operations, value, durability }: CommitRequest): Answer {
    const { log } = this.#parts;
    log.beginCommit();
    const writes = operations.flatMap((operation) => this.#step(operation) ?? []);
    this.#evict(EVICTIONS_PER_COMMIT);
    this.#documents.checkUnique();
    const { sequence, timestampMs } = log.position();
    return { value, writes, sequence, timestampMs, durability };
  }

  #step(operation: Operation): WrittenDocument | undefined {
    switch (operation.kind) {
      case 'put':
        return this.#documents.put(operation);
      case 'delete':
        return this.#documents.delete(operation);
      case 'require':
        this.#documents.require(operation.collection, operation.key, operation.precondition);
        return undefined;
      default:
        changeCollection(operation, this.#parts);
        return undefined;
    }
  }

  #evict(limit: number): number {
    let evicted = 0;
    for (const collection of [...this.#parts.catalog.all()]) {
      const excess = collection.documents - (collection.documentsMax ?? Infinity);
      if (excess <= 0 || evicted >= limit) continue;
      const count = Math.min(excess, limit - evicted);
      const keys = this.#parts.store.oldestKeys(collection.id, count);
      for (const key of keys) this.#documents.remove(collection.name, key, 'evicted');
      evicted += keys.length;
    }
    return evicted;
  }
}

function isRevision(catalog: WriterCatalog, seen: SeenCollection): boolean {
  const found = catalog.find(seen.collection);
  if ((found?.revision ?? 0) !== seen.revision) return false;
  return seen.lastPutAtMs === undefined || found?.lastPutAtMs === seen.lastPutAtMs;
}

type CollectionOperation = Exclude<Operation, { kind: 'put' | 'delete' | 'require' }>;

function changeCollection(
  operation: CollectionOperation,
  { catalog, log }: Pick<CommitterParts, 'catalog' | 'log'>,
): void {
  const existing = catalog.find(operation.collection);
  if ('settings' in operation && operation.kind === 'createCollection') {
    if (existing !== undefined) return;
    const at = { ms: log.timestampMs(), sequence: log.next() };
    const { id } = catalog.create(operation.collection, operation.settings, at);
    log.append({ kind: ENTRY_KIND.createCollection, collection: id, body: textOf(operation) });
    return;
  }
  if (existing === undefined) throw collectionNotFound(operation.collection);
  if ('settings' in operation) {
    const collection = catalog.edit(existing);
    collection.revision += 1;
    collection.rules = operation.settings.rules;
    collection.documentsMax = operation.settings.documentsMax ?? null;
    const body = textOf(operation);
    collection.settingsSequence = log.append({
      ...{ kind: ENTRY_KIND.configureCollection, collection: existing.id, body },
      previous: existing.settingsSequence,
    });
    return;
  }
  const cause = operation.cause === undefined ? 0 : CAUSE[operation.cause];
  const sequence = log.append({ kind: ENTRY_KIND[operation.kind], collection: existing.id, cause });
  log.addHistory(existing.bytes);
  if (operation.kind === 'dropCollection') catalog.drop(existing, sequence);
  else catalog.clear(existing, sequence);
}

function textOf({ settings }: { readonly settings: CollectionSettings }): string {
  return JSON.stringify(settings);
}

/**
 * The remembered answer to a request id: replayed when the request was the same, REQUEST_ID_REUSED when
 * it was another one, undefined when the id is new.
 */
export function findAnswer(
  answers: Pick<AnswerStore, 'find'>,
  identity: RequestIdentity,
): Extract<CommitOutcome, { kind: 'replayed' | 'refused' }> | undefined {
  const row = answers.find(identity);
  return row && answerOf(identity, row);
}

/** What a remembered answer means to whoever asks again. */
export function answerOf(
  identity: RequestIdentity,
  row: { readonly fingerprint: string; readonly answer: string },
): Extract<CommitOutcome, { kind: 'replayed' | 'refused' }> {
  if (row.fingerprint === identity.fingerprint) {
    // Written by `apply`.
    return { kind: 'replayed', answer: JSON.parse(row.answer) as Answer };
  }
  const error = new DomainError(
    'REQUEST_ID_REUSED',
    `request id '${identity.id}' was used for another request; make a new one per request`,
    { metadata: { requestId: identity.id } },
  );
  return { kind: 'refused', refusal: refusalOf(error) };
}
