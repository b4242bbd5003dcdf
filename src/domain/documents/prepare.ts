import { DomainError } from '../../errors/domain-error.ts';
import type { Transaction } from '../../storage/engine.ts';
import { createCandidate, systemValue } from '../../storage/query/candidate.ts';
import { SYSTEM_FIELDS } from '../../storage/query/path.ts';
import type { Json, JsonObject, StoredDocument } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { OpenCollection } from '../collections/catalog.ts';
import type { SchemaViolation } from '../collections/schema.ts';
import { DEFAULT_RULES, toSettings } from '../collections/rules.ts';
import { visibilityOf } from '../visibility/visibility.ts';
import { encodeBody, type DocumentBody } from './body.ts';
import { applyChange } from './change.ts';
import { segmentsOf } from './json-patch.ts';
import type { DocumentsParts } from './parts.ts';
import { checkPrecondition, wantsNone } from './precondition.ts';
import { fromEntries } from './set-at.ts';
import type { BodyToWrite, WriteStep } from './steps.ts';

/** Turns steps into puts and deletes inside one run of a transaction. */
export interface Preparation {
  /** Reads what all steps need, once per collection. */
  load(steps: readonly WriteStep[]): Promise<void>;
  /** The document as the transaction found it; undefined when it does not exist. */
  current(collection: string, key: string): StoredDocument | undefined;
  /** Writes one step; false when a missing document is left out. */
  write(step: WriteStep): Promise<boolean>;
}

/** Starts the preparation of one run. */
export function createPreparation(
  parts: DocumentsParts,
  transaction: Transaction,
  principal: Principal,
): Preparation {
  return new RunPreparation(parts, transaction, principal);
}

class RunPreparation implements Preparation {
  readonly #parts: DocumentsParts;
  readonly #transaction: Transaction;
  readonly #principal: Principal;
  readonly #collections = new Map<string, OpenCollection | undefined>();
  readonly #documents = new Map<string, StoredDocument | undefined>();

  constructor(parts: DocumentsParts, transaction: Transaction, principal: Principal) {
    this.#parts = parts;
    this.#transaction = transaction;
    this.#principal = principal;
  }

  current(collection: string, key: string): StoredDocument | undefined {
    return this.#documents.get(nameOf(collection, key));
  }

  async load(steps: readonly WriteStep[]): Promise<void> {
    const byCollection = new Map<string, string[]>();
    for (const { collection, key } of steps) {
      const keys = byCollection.get(collection);
      if (keys === undefined) byCollection.set(collection, [key]);
      else keys.push(key);
    }
    for (const [collection, keys] of byCollection) {
      const isExpired = (await this.#parts.catalog.find(collection))?.isExpired === true;
      const found = await this.#transaction.get(collection, keys);
      keys.forEach((key, at) => {
        this.#documents.set(nameOf(collection, key), isExpired ? undefined : found[at]);
      });
    }
  }

  async write(step: WriteStep): Promise<boolean> {
    switch (step.kind) {
      case 'set':
        await this.#set(step);
        return true;
      case 'update':
        return await this.#update(step);
      case 'delete': {
        const { collection, key, precondition } = step;
        const found = await this.#parts.catalog.find(collection);
        if (found?.isExpired === true) await this.#openForWrite(collection);
        this.#transaction.delete({ collection, key, precondition });
        return true;
      }
    }
  }

  async #set(step: Extract<WriteStep, { kind: 'set' }>): Promise<void> {
    const { collection, key, precondition } = step;
    const body = await this.#extend(step.content);
    // One that must not exist keeps nothing: there it fails at the commit.
    const before = wantsNone(precondition) ? undefined : this.current(collection, key);
    const visibility = visibilityOf(this.#principal, collection);
    await this.#put(step, visibility.keepHidden(body, before, 'keeps'), false);
  }

  async #update(step: Extract<WriteStep, { kind: 'update' }>): Promise<boolean> {
    const { collection, key, change, missing } = step;
    const { clock, limits } = this.#parts;
    const before = this.current(collection, key);
    if (before === undefined && missing === 'skip') return false;
    if (before === undefined && missing === 'fail' && step.precondition === undefined) {
      throw documentNotFound(collection, key);
    }
    // What is no longer there cannot be changed either, and it is the condition that says why.
    if (before === undefined) checkPrecondition(step, undefined);
    const visibility = visibilityOf(this.#principal, collection);
    const start = before === undefined ? {} : createCandidate(before).body();
    const bytesMax = limits.documentBytesMax;
    const visible = visibility.showBody(start);
    const changed = applyChange(visible, change, { nowMs: clock.now(), bytesMax });
    const body = encodeBody(changed, 'document', bytesMax);
    const omission = change.merge?.paths.kind === 'replace' ? 'keeps' : 'refused';
    await this.#put(step, visibility.keepHidden(body, before, omission), before !== undefined);
    return true;
  }

  async #put(
    step: Exclude<WriteStep, { kind: 'delete' }>,
    body: DocumentBody,
    isUpdate: boolean,
  ): Promise<void> {
    const { collection, key, precondition } = step;
    const opened = await this.#openForWrite(collection);
    this.#checkSchema(opened, { collection, key, body: body.value });
    const expiresAtMs = opened?.expiryOf(body.value, this.#parts.clock.now());
    const { text } = body;
    this.#transaction.put({ collection, key, body: text, expiresAtMs, precondition, isUpdate });
  }

  /** Makes sure that a collection can be written to: made when missing, emptied when its time is over. */
  async #openForWrite(name: string): Promise<OpenCollection | undefined> {
    if (this.#collections.has(name)) return this.#collections.get(name);
    const transaction = this.#transaction;
    const found = await this.#parts.catalog.find(name);
    if (found === undefined) {
      if (this.#parts.strict) throw notFound(name);
      transaction.requireRevision(name, 0n);
      transaction.createCollection(name, toSettings(DEFAULT_RULES));
    } else if (found.isExpired) {
      const { revision, lastPutAtMs } = found.record;
      transaction.requireRevision(name, revision, lastPutAtMs);
      transaction.clearCollection(name, 'expired');
    } else {
      transaction.requireRevision(name, found.record.revision);
    }
    this.#collections.set(name, found);
    return found;
  }

  async #extend({ body, extensions }: BodyToWrite): Promise<DocumentBody> {
    if (extensions.length === 0) return body;
    const members: (readonly [string, Json])[] = Object.entries(body.value);
    for (const { alias, collection, key } of extensions) {
      if (!this.#principal.scopes.covers('read', collection, key)) continue;
      const source = await this.#parts.catalog.find(collection);
      const [document] = await this.#transaction.get(collection, [key]);
      if (document !== undefined && source?.isExpired === false) {
        const visibility = visibilityOf(this.#principal, collection);
        members.push([alias, wholeOf(visibility.show(document))]);
      }
    }
    return encodeBody(fromEntries(members), 'body', this.#parts.limits.documentBytesMax);
  }

  #checkSchema(
    opened: OpenCollection | undefined,
    { collection, key, body }: { collection: string; key: string; body: JsonObject },
  ): void {
    const visibility = visibilityOf(this.#principal, collection);
    // What a writer cannot see it neither broke nor can mend; a new document has nothing hidden yet.
    const isHidden =
      visibility.isWhole || this.current(collection, key) === undefined
        ? () => false
        : ({ path, member }: SchemaViolation) =>
            visibility.isHidden([...segmentsOf(path), ...(member === undefined ? [] : [member])]);
    const violations = (opened?.violations(body) ?? []).filter((one) => !isHidden(one));
    if (violations.length === 0) return;
    if (opened?.rules.schema?.enforcement === 'warn') {
      this.#parts.onSchemaWarning({ collection, key }, violations);
      return;
    }
    throw schemaViolation(collection, key, violations);
  }
}

function schemaViolation(
  collection: string,
  key: string,
  violations: readonly SchemaViolation[],
): DomainError {
  const first = violations[0];
  return new DomainError(
    'SCHEMA_VIOLATION',
    `document '${key}' breaks the schema of '${collection}': ${first?.path ?? ''} ${first?.description ?? ''}`,
    {
      metadata: { collection, key },
      violations: violations.map(({ path, description }) => ({ field: path, description })),
    },
  );
}

/** A document with its system fields as members, as it is copied into another. */
function wholeOf(document: StoredDocument): JsonObject {
  const system = SYSTEM_FIELDS.flatMap((field) => {
    const value = systemValue(field, document);
    return value === undefined ? [] : [[field, value] as const];
  });
  return fromEntries([...Object.entries(createCandidate(document).body()), ...system]);
}

function nameOf(collection: string, key: string): string {
  return `${collection}/${key}`;
}

function notFound(collection: string): DomainError {
  return new DomainError(
    'COLLECTION_NOT_FOUND',
    `collection '${collection}' does not exist, and this server makes none by itself; create it first`,
    { metadata: { collection } },
  );
}

function documentNotFound(collection: string, key: string): DomainError {
  return new DomainError(
    'DOCUMENT_NOT_FOUND',
    `document '${key}' does not exist in collection '${collection}'`,
    { metadata: { collection, key } },
  );
}
