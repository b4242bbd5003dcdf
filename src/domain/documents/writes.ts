import { DomainError } from '../../errors/domain-error.ts';
import type { Committed, Transaction, TransactOptions, WriteResult } from '../../storage/engine.ts';
import { breathe } from '../../platform/timers.ts';
import { createCandidate } from '../../storage/query/candidate.ts';
import { compileFilter } from '../../storage/query/evaluate.ts';
import type { Filter } from '../../storage/query/filter.ts';
import type { Query } from '../../storage/query/query.ts';
import type { KeyAccess, StoredDocument } from '../../storage/types.ts';
import { toSequence, toVersion } from '../../storage/types.ts';
import { checkCollectionName, checkKey } from '../collections/names.ts';
import { parseWhere } from '../query/where.ts';
import { demandFilter } from '../visibility/asked.ts';
import { visibilityOf } from '../visibility/visibility.ts';
import { toQueryLimits } from '../quota/query-limits.ts';
import type { DocumentsParts } from './parts.ts';
import { permitAsFarAs, permitKeys, permittedKeys } from './permission.ts';
import { checkPrecondition } from './precondition.ts';
import { createPreparation, type Preparation } from './prepare.ts';
import { demandWritable } from './writable.ts';
import { actionOf, type Comparison, type WriteContext, type WriteStep } from './steps.ts';

/** What became of one document. */
export type DocumentWritten = Pick<
  WriteResult,
  'collection' | 'key' | 'kind' | 'created' | 'existed' | 'version' | 'sequence'
>;

/** A finished write. */
export interface Written {
  /** In the order of the steps, without those left out. */
  readonly results: readonly DocumentWritten[];
  /** Undefined when only validated. */
  readonly commit: Committed<unknown> | undefined;
}

/** A transaction: `then` when every comparison holds, otherwise `otherwise`. */
export interface TransactionRequest {
  readonly compare: readonly Comparison[];
  readonly then: readonly WriteStep[];
  readonly otherwise: readonly WriteStep[];
}

/** Which documents go. */
export interface DeleteMatchingRequest {
  readonly collection: string;
  readonly where: unknown;
  /** 0: 100. At most 10,000. */
  readonly limit: number;
  readonly order: 'asc' | 'desc';
}

/** Writes of documents: all of a request or nothing of it. */
export interface DocumentWrites {
  write(context: WriteContext, steps: readonly WriteStep[]): Promise<Written>;
  transact(
    context: WriteContext,
    request: TransactionRequest,
  ): Promise<Written & { readonly succeeded: boolean }>;
  deleteMatching(
    context: WriteContext,
    request: DeleteMatchingRequest,
  ): Promise<{ readonly deleted: number; readonly commit: Committed<unknown> | undefined }>;
}

const DELETE_DEFAULT = 100;
const DELETE_MAX = 10_000;
/** How long one request prepares its writes before others have their turn, in milliseconds. */
const TURN_MS = 10;

/** Thrown out of a transaction that only validates: everything was checked, nothing is written. */
class Validated<T> extends Error {
  readonly value: T;

  constructor(value: T) {
    super('validated');
    this.value = value;
  }
}

/** Creates the writing half of documents. */
export function createWrites(parts: DocumentsParts): DocumentWrites {
  return new StoredWrites(parts);
}

class StoredWrites implements DocumentWrites {
  readonly #parts: DocumentsParts;

  constructor(parts: DocumentsParts) {
    this.#parts = parts;
  }

  async write(context: WriteContext, steps: readonly WriteStep[]): Promise<Written> {
    this.#permit(context, steps);
    const { outcome, commit } = await this.#commit(context, async (transaction) => {
      const preparation = this.#prepare(transaction, context);
      if (context.validateOnly || steps.some((step) => needsStored(context, step))) {
        await preparation.load(steps);
      }
      return await this.#writeAll(preparation, steps, context);
    });
    return { results: commit?.writes ?? outcome, commit };
  }

  async transact(
    context: WriteContext,
    { compare, then, otherwise }: TransactionRequest,
  ): Promise<Written & { readonly succeeded: boolean }> {
    for (const comparison of compare) this.#permitComparison(context, comparison);
    this.#permit(context, then);
    this.#permit(context, otherwise);
    const { outcome, commit } = await this.#commit(context, async (transaction) => {
      const compared = await this.#compare(transaction, compare);
      const steps = compared ? then : otherwise;
      const preparation = this.#prepare(transaction, context);
      await preparation.load(steps);
      const results = await this.#writeAll(preparation, steps, context);
      return { succeeded: compared, results };
    });
    const results = commit?.writes ?? outcome.results;
    return { succeeded: outcome.succeeded, results, commit };
  }

  async deleteMatching(
    context: WriteContext,
    request: DeleteMatchingRequest,
  ): Promise<{ readonly deleted: number; readonly commit: Committed<unknown> | undefined }> {
    const { collection } = request;
    checkCollectionName(collection);
    const access = permittedKeys(context.principal, 'delete', collection);
    // A count without a deletion is a question about what is there.
    if (context.validateOnly) permitAsFarAs(context.principal, 'read', { collection, access });
    const filter = parseWhere(request.where as never);
    const visibility = visibilityOf(context.principal, collection);
    demandFilter({ visibility, collection }, filter, 'where');
    const query = this.#deletion(request, access, filter);
    const { outcome: deleted, commit } = await this.#commit(context, async (transaction) => {
      const found = await this.#parts.catalog.find(collection);
      if (found === undefined || found.isExpired) return 0;
      const page = await transaction.query(query, { signal: context.signal });
      for (const { key } of page.documents) transaction.delete({ collection, key });
      return page.documents.length;
    });
    return { deleted, commit };
  }

  #deletion(request: DeleteMatchingRequest, access: KeyAccess, filter: Filter): Query {
    const { collection, limit, order } = request;
    return {
      ...{ collection, access, filter, keys: undefined, keyPrefix: '', joins: [] },
      // The bodies stay in the engine: only keys are wanted.
      projection: { kind: 'include', paths: [['_key']] },
      limits: toQueryLimits(this.#parts.limits.query()),
      order: { by: 'insertion', direction: order },
      limit: limit === 0 ? DELETE_DEFAULT : Math.min(limit, DELETE_MAX),
      ...{ offset: 0, after: undefined, total: false },
    };
  }

  #permit({ principal }: WriteContext, steps: readonly WriteStep[]): void {
    const max = this.#parts.limits.keysPerRequestMax;
    if (steps.length > max) {
      throw new DomainError(
        'ARGUMENT_INVALID',
        `the request writes ${String(steps.length)} documents; at most ${String(max)} are taken at once`,
        { metadata: { limit: String(max) } },
      );
    }
    for (const step of steps) {
      checkCollectionName(step.collection);
      checkKey(step.key);
    }
    for (const step of steps) {
      const target = { collection: step.collection, keys: [step.key] };
      permitKeys(principal, actionOf(step), target);
      // What a test finds tells what is there.
      if (readsBack(step)) permitKeys(principal, 'read', target);
      demandWritable(visibilityOf(principal, step.collection), step);
    }
  }

  #permitComparison({ principal }: WriteContext, { collection, key, condition }: Comparison): void {
    checkCollectionName(collection);
    checkKey(key);
    permitKeys(principal, 'read', { collection, keys: [key] });
    if (condition.kind !== 'matches') return;
    const visibility = visibilityOf(principal, collection);
    demandFilter({ visibility, collection }, condition.filter, 'compare');
  }

  #prepare(transaction: Transaction, { principal }: WriteContext): Preparation {
    return createPreparation(this.#parts, transaction, principal);
  }

  async #compare(transaction: Transaction, compare: readonly Comparison[]): Promise<boolean> {
    let holds = true;
    for (const { collection, key, condition } of compare) {
      const isExpired = (await this.#parts.catalog.find(collection))?.isExpired === true;
      const [found] = await transaction.get(collection, [key]);
      holds &&= matches(isExpired ? undefined : found, condition);
    }
    return holds;
  }

  /**
   * Writes steps in their order; what only validates also checks what a commit would check. Many or large
   * ones take turns with the other calls of the server, and end with their caller.
   */
  async #writeAll(
    preparation: Preparation,
    steps: readonly WriteStep[],
    { validateOnly, signal }: WriteContext,
  ): Promise<readonly DocumentWritten[]> {
    const { clock } = this.#parts;
    const results: DocumentWritten[] = [];
    let turnMs = clock.monotonic();
    for (const step of steps) {
      if (clock.monotonic() - turnMs > TURN_MS) {
        await breathe();
        if (signal.aborted) throw new DomainError('CANCELED', 'the write was canceled');
        turnMs = clock.monotonic();
      }
      if (validateOnly) checkPrecondition(step, preparation.current(step.collection, step.key));
      const isWritten = await preparation.write(step);
      if (isWritten && validateOnly) {
        results.push(foresee(step, preparation.current(step.collection, step.key)));
      }
    }
    return results;
  }

  /** Runs `body` and commits, or, when only validating, runs it and throws its writes away. */
  async #commit<T>(
    { durability, request, signal, validateOnly }: WriteContext,
    body: (transaction: Transaction) => Promise<T>,
  ): Promise<{ readonly outcome: T; readonly commit: Committed<unknown> | undefined }> {
    const { engine } = this.#parts;
    if (!validateOnly) {
      const options: TransactOptions = { durability, request, signal };
      const commit = await engine.transact(options, body);
      return { outcome: commit.value, commit };
    }
    try {
      await engine.transact({ durability, signal }, async (transaction) => {
        throw new Validated(await body(transaction));
      });
    } catch (error) {
      // `value` is what `body` returned just above.
      if (error instanceof Validated) return { outcome: error.value as T, commit: undefined };
      throw error;
    }
    throw new Validated(undefined);
  }
}

/** What is there is needed to change it, or to keep what its writer cannot see. */
function needsStored({ principal }: WriteContext, { kind, collection }: WriteStep): boolean {
  return kind === 'update' || (kind === 'set' && !visibilityOf(principal, collection).isWhole);
}

function readsBack(step: WriteStep): boolean {
  return step.kind === 'update' && step.change.patch.some(({ op }) => op === 'test');
}

/** What a write would answer, but for its sequence. */
function foresee(step: WriteStep, current: StoredDocument | undefined): DocumentWritten {
  const { collection, key } = step;
  const isDelete = step.kind === 'delete';
  return {
    ...{ collection, key, kind: isDelete ? 'delete' : 'put' },
    created: !isDelete && current === undefined,
    existed: !isDelete || current !== undefined,
    version: isDelete ? toVersion(0) : toVersion((current?.version ?? 0n) + 1n),
    sequence: toSequence(0),
  };
}

function matches(
  document: StoredDocument | undefined,
  condition: Comparison['condition'],
): boolean {
  switch (condition.kind) {
    case 'exists':
      return condition.exists === (document !== undefined);
    case 'version':
      return (document?.version ?? 0n) === condition.version;
    case 'matches':
      return document !== undefined && compileFilter(condition.filter)(createCandidate(document));
  }
}
