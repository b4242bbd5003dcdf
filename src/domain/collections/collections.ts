/**
 * Collections: their settings, their schema, their indexes. A collection comes into being with its first
 * document unless the server is strict; everything here also works before and after that.
 *
 * Each method is told who asks and refuses what the scopes do not cover, also where the protocol has
 * checked already.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Committed, StorageEngine, Transaction } from '../../storage/engine.ts';
import type {
  CollectionRecord,
  Durability,
  IndexField,
  IndexRecord,
  JsonObject,
} from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { Action } from '../access/scope.ts';
import { parseFieldPath } from '../query/field-path.ts';
import { expiryOfCollection, type Catalog } from './catalog.ts';
import { checkCollectionName, checkIndexName } from './names.ts';
import { DEFAULT_RULES, fromSettings, toSettings, type CollectionRules } from './rules.ts';
import { compileSchema, type SchemaViolation } from './schema.ts';

/** A collection as callers see it. */
export interface CollectionView {
  readonly record: CollectionRecord;
  readonly rules: CollectionRules;
  /** When it is emptied, in Unix milliseconds; undefined: never. */
  readonly expiresAtMs: number | undefined;
  readonly isExpired: boolean;
}

/** A change of settings: only the rules named are taken. */
export interface RulesChange {
  readonly rules: Partial<CollectionRules>;
  /** Undefined: any revision. */
  readonly revision: bigint | undefined;
  readonly allowMissing: boolean;
  readonly validateOnly: boolean;
}

/** What is dropped, and how surely. */
export interface DropRequest {
  /** Undefined: any incarnation. */
  readonly uid: string | undefined;
  readonly allowMissing: boolean;
  readonly durability: Durability;
  readonly validateOnly: boolean;
}

/** What a drop did. */
export interface Dropped {
  readonly documents: number;
  readonly commit: Committed<unknown> | undefined;
}

/** An index as asked for; an empty name is made of the paths. */
export interface IndexRequest {
  readonly name: string;
  readonly fields: readonly IndexField[];
  readonly unique: boolean;
}

/** Collections and indexes. */
export interface Collections {
  create(
    principal: Principal,
    name: string,
    options: { readonly rules: CollectionRules; readonly validateOnly: boolean },
  ): Promise<CollectionView>;
  get(principal: Principal, name: string): Promise<CollectionView>;
  /** Those that the caller may read whole, by name, after `after`. */
  list(
    principal: Principal,
    page: { readonly after: string; readonly limit: number },
  ): Promise<{ readonly collections: readonly CollectionView[]; readonly next: string }>;
  update(principal: Principal, name: string, change: RulesChange): Promise<CollectionView>;
  drop(principal: Principal, name: string, request: DropRequest): Promise<Dropped>;
  validate(
    principal: Principal,
    name: string,
    body: JsonObject,
  ): Promise<readonly SchemaViolation[]>;
  createIndex(principal: Principal, name: string, request: IndexRequest): Promise<IndexRecord>;
  getIndex(principal: Principal, name: string, index: string): Promise<IndexRecord>;
  listIndexes(principal: Principal, name: string): Promise<readonly IndexRecord[]>;
  dropIndex(principal: Principal, name: string, index: string): Promise<void>;
}

/** What collections are made of. */
export interface CollectionsParts {
  readonly engine: StorageEngine;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Collections must be made before documents are put or indexes declared. */
  readonly strict: boolean;
}

const INDEX_NAME_CHARS_MAX = 64;

/** Creates the domain of collections. */
export function createCollections(parts: CollectionsParts): Collections {
  return new StoredCollections(parts);
}

class StoredCollections implements Collections {
  readonly #parts: CollectionsParts;

  constructor(parts: CollectionsParts) {
    this.#parts = parts;
  }

  async create(
    principal: Principal,
    name: string,
    { rules, validateOnly }: { readonly rules: CollectionRules; readonly validateOnly: boolean },
  ): Promise<CollectionView> {
    permit(principal, 'schema', name);
    checkCollectionName(name);
    checkRules(rules);
    const { engine } = this.#parts;
    if (validateOnly) {
      if ((await engine.findCollection(name)) !== undefined) throw exists(name);
      return this.#planned(name, rules);
    }
    await engine.transact({ durability: 'sync' }, async (transaction) => {
      const found = await engine.findCollection(name);
      if (found !== undefined) throw exists(name);
      transaction.requireRevision(name, 0n);
      transaction.createCollection(name, toSettings(rules));
    });
    return this.#view(await this.#record(name));
  }

  async get(principal: Principal, name: string): Promise<CollectionView> {
    permit(principal, 'read', name);
    return this.#view(await this.#record(name));
  }

  async list(
    principal: Principal,
    { after, limit }: { readonly after: string; readonly limit: number },
  ): Promise<{ readonly collections: readonly CollectionView[]; readonly next: string }> {
    const all = await this.#parts.engine.collections();
    const seen = all.filter(
      ({ name }) =>
        !name.startsWith('$') && name > after && principal.scopes.coversCollection('read', name),
    );
    const page = seen.slice(0, limit);
    const next = seen.length > limit ? (page.at(-1)?.name ?? '') : '';
    return { collections: page.map((record) => this.#view(record)), next };
  }

  async update(principal: Principal, name: string, change: RulesChange): Promise<CollectionView> {
    permit(principal, 'schema', name);
    checkCollectionName(name);
    checkRules(change.rules);
    const { engine } = this.#parts;
    if (change.validateOnly) {
      const record = await this.#changeable(name, change);
      const rules = record === undefined ? DEFAULT_RULES : fromSettings(record.settings);
      return this.#planned(name, { ...rules, ...change.rules }, record);
    }
    await engine.transact({ durability: 'sync' }, async (transaction) => {
      const record = await this.#changeable(name, change);
      transaction.requireRevision(name, record?.revision ?? 0n);
      writeRules(transaction, { name, record, rules: change.rules });
    });
    return this.#view(await this.#record(name));
  }

  async drop(principal: Principal, name: string, request: DropRequest): Promise<Dropped> {
    permit(principal, 'delete', name);
    checkCollectionName(name);
    const { engine } = this.#parts;
    const { uid, allowMissing, durability, validateOnly } = request;
    const look = async (): Promise<CollectionRecord | undefined> => {
      const record = await engine.findCollection(name);
      if (record === undefined && !allowMissing) throw notFound(name);
      if (record !== undefined && uid !== undefined && record.uid !== uid) {
        throw anotherIncarnation(name, uid, record.uid);
      }
      return record;
    };
    if (validateOnly) return { documents: (await look())?.documents ?? 0, commit: undefined };
    const commit = await engine.transact({ durability }, async (transaction) => {
      const record = await look();
      transaction.requireRevision(name, record?.revision ?? 0n);
      if (record !== undefined) transaction.dropCollection(name);
      return record?.documents;
    });
    const { value } = commit;
    return { documents: value ?? 0, commit: value === undefined ? undefined : commit };
  }

  async validate(
    principal: Principal,
    name: string,
    body: JsonObject,
  ): Promise<readonly SchemaViolation[]> {
    const granted = principal.scopes.collections('write');
    if (granted !== 'all' && !granted.has(name)) throw missing('write', name);
    checkCollectionName(name);
    const collection = await this.#parts.catalog.find(name);
    return collection?.violations(body) ?? [];
  }

  async createIndex(
    principal: Principal,
    name: string,
    request: IndexRequest,
  ): Promise<IndexRecord> {
    permit(principal, 'schema', name);
    checkCollectionName(name);
    const { engine, strict } = this.#parts;
    const { fields, unique } = request;
    fields.forEach(({ path }, at) => {
      parseFieldPath(path, { field: `fields[${String(at)}].path`, reason: 'ARGUMENT_INVALID' });
    });
    const index = request.name === '' ? madeUpName(fields) : request.name;
    checkIndexName(index);
    if (!strict && (await engine.findCollection(name)) === undefined) {
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.createCollection(name, toSettings(DEFAULT_RULES));
      });
    }
    return await engine.createIndex({ collection: name, name: index, fields, unique });
  }

  async getIndex(principal: Principal, name: string, index: string): Promise<IndexRecord> {
    const indexes = await this.listIndexes(principal, name);
    const found = indexes.find((one) => one.name === index);
    if (found !== undefined) return found;
    throw new DomainError('INDEX_NOT_FOUND', `collection '${name}' has no index '${index}'`, {
      metadata: { collection: name, index },
    });
  }

  async listIndexes(principal: Principal, name: string): Promise<readonly IndexRecord[]> {
    permit(principal, 'read', name);
    await this.#record(name);
    return await this.#parts.engine.indexes(name);
  }

  async dropIndex(principal: Principal, name: string, index: string): Promise<void> {
    permit(principal, 'schema', name);
    await this.#record(name);
    await this.#parts.engine.dropIndex(name, index);
  }

  async #record(name: string): Promise<CollectionRecord> {
    checkCollectionName(name);
    const record = await this.#parts.engine.findCollection(name);
    if (record === undefined) throw notFound(name);
    return record;
  }

  async #changeable(
    name: string,
    { revision, allowMissing }: RulesChange,
  ): Promise<CollectionRecord | undefined> {
    const record = await this.#parts.engine.findCollection(name);
    if (record === undefined && !allowMissing) throw notFound(name);
    const found = record?.revision ?? 0n;
    if (revision !== undefined && revision !== found) throw anotherRevision(name, revision, found);
    return record;
  }

  #view(record: CollectionRecord): CollectionView {
    const rules = fromSettings(record.settings);
    const nowMs = this.#parts.clock.now();
    const endMs = expiryOfCollection(record, rules);
    const hasPassed = rules.ttlMs !== undefined && record.lastPutAtMs + rules.ttlMs <= nowMs;
    const shown = endMs <= nowMs ? { ...record, documents: 0, bytes: 0 } : record;
    return {
      ...{ record: shown, rules, isExpired: hasPassed },
      expiresAtMs: Number.isFinite(endMs) && endMs > nowMs ? endMs : undefined,
    };
  }

  /** What a collection would look like; for requests that only validate. */
  #planned(name: string, rules: CollectionRules, record?: CollectionRecord): CollectionView {
    const nowMs = this.#parts.clock.now();
    const fresh: CollectionRecord = {
      ...{ name, uid: '', revision: 0n, documents: 0, bytes: 0 },
      ...{ settings: toSettings(rules), createdAtMs: nowMs, lastPutAtMs: nowMs },
    };
    return this.#view(record === undefined ? fresh : { ...record, settings: toSettings(rules) });
  }
}

function writeRules(
  transaction: Transaction,
  change: {
    readonly name: string;
    readonly record: CollectionRecord | undefined;
    readonly rules: Partial<CollectionRules>;
  },
): void {
  const { name, record, rules } = change;
  const before = record === undefined ? DEFAULT_RULES : fromSettings(record.settings);
  const settings = toSettings({ ...before, ...rules });
  if (record === undefined) transaction.createCollection(name, settings);
  else transaction.configureCollection(name, settings);
}

function checkRules({ schema }: Partial<CollectionRules>): void {
  if (schema !== undefined) compileSchema(schema.text);
}

function madeUpName(fields: readonly IndexField[]): string {
  const parts = fields.map(({ path, direction }) => (direction === 'desc' ? `${path}-desc` : path));
  return parts.join('_').replaceAll('.', '_').slice(0, INDEX_NAME_CHARS_MAX);
}

/** SCOPE_MISSING unless the action is granted on every key. */
function permit(principal: Principal, action: Action, collection: string): void {
  if (!principal.scopes.coversCollection(action, collection)) throw missing(action, collection);
}

function missing(action: Action, collection: string): DomainError {
  return new DomainError('SCOPE_MISSING', `the token lacks the scope ${action}:${collection}:*`, {
    metadata: { action, collection, key: '*' },
  });
}

function notFound(collection: string): DomainError {
  return new DomainError('COLLECTION_NOT_FOUND', `collection '${collection}' does not exist`, {
    metadata: { collection },
  });
}

function exists(collection: string): DomainError {
  return new DomainError('COLLECTION_EXISTS', `collection '${collection}' exists already`, {
    metadata: { collection },
  });
}

function anotherRevision(collection: string, expected: bigint, found: bigint): DomainError {
  return new DomainError(
    'VERSION_MISMATCH',
    `collection '${collection}' has revision ${String(found)}, not ${String(expected)}; read it again`,
    { metadata: { collection, expected: String(expected), found: String(found) } },
  );
}

function anotherIncarnation(collection: string, expected: string, found: string): DomainError {
  return new DomainError(
    'VERSION_MISMATCH',
    `collection '${collection}' was made anew since: its uid is ${found}, not ${expected}`,
    { metadata: { collection, expected, found } },
  );
}
