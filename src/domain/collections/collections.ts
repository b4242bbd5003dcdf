/**
 * Collections: their settings, their schema, their indexes. A collection comes into being with its first
 * document unless the server is strict; everything here also works before and after that.
 *
 * Each method is told who asks and refuses what the scopes do not cover before it looks whether anything
 * exists, also where the protocol has checked already. Collections of the system cannot be named here.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Committed, RequestIdentity, StorageEngine } from '../../storage/engine.ts';
import type { CollectionRecord, Durability, JsonObject } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { NamePage } from '../query/name-page.ts';
import { hiddenField, visibilityOf } from '../visibility/visibility.ts';
import { expiryOfCollection, type Catalog } from './catalog.ts';
import { createIndexes, type Indexes } from './indexes.ts';
import { checkCollectionName } from './names.ts';
import {
  anotherIncarnation,
  anotherRevision,
  collectionExists,
  collectionNotFound,
  permitCollection,
  permitSomeKeys,
} from './refusal.ts';
import {
  applyPatch,
  DEFAULT_RULES,
  fromSettings,
  toSettings,
  type CollectionRules,
  type RulesPatch,
} from './rules.ts';
import type { SchemaViolation } from './schema.ts';

/** A collection as callers see it. */
export interface CollectionView {
  readonly record: CollectionRecord;
  readonly rules: CollectionRules;
  /** When it is emptied, in Unix milliseconds; undefined: never. */
  readonly expiresAtMs: number | undefined;
  readonly isExpired: boolean;
}

/** What is made. */
export interface CreateRequest {
  readonly rules: RulesPatch;
  readonly validateOnly: boolean;
  /** Makes a retry safe; undefined: a retry is another request. */
  readonly request?: RequestIdentity | undefined;
}

/** A change of settings: only the rules named are taken. */
export interface RulesChange {
  readonly rules: RulesPatch;
  /** The revision the settings must have. Undefined: they may have been changed meanwhile. */
  readonly revision: bigint | undefined;
  readonly allowMissing: boolean;
  readonly validateOnly: boolean;
}

/** What is dropped, and how surely. */
export interface DropRequest {
  /** The incarnation that is meant. Undefined: the one that has the name now. */
  readonly uid: string | undefined;
  readonly allowMissing: boolean;
  readonly durability: Durability;
  readonly validateOnly: boolean;
}

/** What a drop did. */
export interface Dropped {
  /** What readers saw of it. */
  readonly documents: number;
  /** Undefined when nothing was dropped. */
  readonly commit: Committed<unknown> | undefined;
}

/** Some collections, and where the next page starts. */
export interface CollectionPage {
  readonly collections: readonly CollectionView[];
  /** The last name shown; empty: there are no more. */
  readonly next: string;
}

/** Collections and indexes. */
export interface Collections extends Indexes {
  /** COLLECTION_EXISTS when there is one. */
  create(principal: Principal, name: string, request: CreateRequest): Promise<CollectionView>;
  get(principal: Principal, name: string): Promise<CollectionView>;
  /** Those that the caller may read whole, by name. */
  list(principal: Principal, page: NamePage): Promise<CollectionPage>;
  /** VERSION_MISMATCH when the collection has another revision than asked for. */
  update(principal: Principal, name: string, change: RulesChange): Promise<CollectionView>;
  /** VERSION_MISMATCH when the collection has another uid than asked for. */
  drop(principal: Principal, name: string, request: DropRequest): Promise<Dropped>;
  /** What a body breaks of the schema; a collection that does not exist yet has none. */
  validate(
    principal: Principal,
    name: string,
    body: JsonObject,
  ): Promise<readonly SchemaViolation[]>;
}

/** What collections are made of. */
export interface CollectionsParts {
  readonly engine: StorageEngine;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Collections must be made before documents are put or indexes declared. */
  readonly strict: boolean;
}

/** Creates the domain of collections. */
export function createCollections(parts: CollectionsParts): Collections {
  return { ...createReading(parts), ...createChanging(parts), ...createIndexes(parts) };
}

type Reading = Pick<Collections, 'get' | 'list' | 'validate'>;
type Changing = Pick<Collections, 'create' | 'update' | 'drop'>;

function createReading({ engine, catalog, clock, strict }: CollectionsParts): Reading {
  return {
    async get(principal, name) {
      permitCollection(principal, 'read', name);
      checkCollectionName(name);
      return seenBy(principal, toView(await wantRecord(engine, name), clock.now()));
    },

    async list(principal, { after, limit }) {
      const all = await engine.collections();
      const seen = all.filter(
        ({ name }) =>
          !name.startsWith('$') && name > after && principal.scopes.coversCollection('read', name),
      );
      const page = seen.slice(0, limit);
      const nowMs = clock.now();
      return {
        collections: page.map((record) => seenBy(principal, toView(record, nowMs))),
        next: seen.length > limit ? (page.at(-1)?.name ?? '') : '',
      };
    },

    async validate(principal, name, body) {
      permitSomeKeys(principal, 'write', name);
      checkCollectionName(name);
      visibilityOf(principal, name).demandUnnamed(body, 'body');
      const collection = await catalog.find(name);
      if (collection === undefined && strict) throw collectionNotFound(name);
      return collection?.violations(body) ?? [];
    },
  };
}

function createChanging({ engine, clock }: CollectionsParts): Changing {
  return {
    async create(principal, name, { rules: patch, validateOnly, request }) {
      permitCollection(principal, 'schema', name);
      checkCollectionName(name);
      demandSettings(principal, name, patch);
      const rules = applyPatch(DEFAULT_RULES, patch);
      if (validateOnly) {
        await wantAbsent(engine, name);
        return toPlannedView(name, { record: undefined, rules }, clock.now());
      }
      await engine.transact({ durability: 'sync', request }, async (transaction) => {
        await wantAbsent(engine, name);
        transaction.requireRevision(name, 0n);
        transaction.createCollection(name, toSettings(rules));
      });
      return toView(await wantRecord(engine, name), clock.now());
    },

    async update(principal, name, change) {
      permitCollection(principal, 'schema', name);
      checkCollectionName(name);
      demandSettings(principal, name, change.rules);
      const plan = (): Promise<Plan> => planChange(engine, name, change);
      if (change.validateOnly) {
        return seenBy(principal, toPlannedView(name, await plan(), clock.now()));
      }
      await engine.transact({ durability: 'sync' }, async (transaction) => {
        const { record, rules } = await plan();
        transaction.requireRevision(name, record?.revision ?? 0n);
        const settings = toSettings(rules);
        if (record === undefined) transaction.createCollection(name, settings);
        else transaction.configureCollection(name, settings);
      });
      return seenBy(principal, toView(await wantRecord(engine, name), clock.now()));
    },

    async drop(principal, name, request) {
      permitCollection(principal, 'delete', name);
      checkCollectionName(name);
      const { durability, validateOnly } = request;
      if (validateOnly) {
        const record = await findIncarnation(engine, name, request);
        return { documents: documentsIn(record, clock.now()), commit: undefined };
      }
      const commit = await engine.transact({ durability }, async (transaction) => {
        const record = await findIncarnation(engine, name, request);
        transaction.requireRevision(name, record?.revision ?? 0n);
        if (record !== undefined) transaction.dropCollection(name);
        return { wasThere: record !== undefined, documents: documentsIn(record, clock.now()) };
      });
      const { wasThere, documents } = commit.value;
      return { documents, commit: wasThere ? commit : undefined };
    },
  };
}

/** The size of documents tells of fields that are hidden. */
function seenBy(principal: Principal, view: CollectionView): CollectionView {
  const { record } = view;
  if (visibilityOf(principal, record.name).isWhole) return view;
  return { ...view, record: { ...record, bytes: 0 } };
}

/** SCOPE_MISSING for rules that would make hidden fields show: by what is refused, or by what expires. */
function demandSettings(
  principal: Principal,
  name: string,
  { schema, documentTtl }: RulesPatch,
): void {
  const visibility = visibilityOf(principal, name);
  if (visibility.isWhole) return;
  if (schema !== undefined) {
    throw hiddenField(name, [], { argument: 'settings.schema', isParent: true });
  }
  if (documentTtl?.field === undefined) return;
  visibility.demandVisible(documentTtl.field, {
    ...{ argument: 'settings.documentTtl.field', use: 'value' },
  });
}

async function wantRecord(engine: StorageEngine, name: string): Promise<CollectionRecord> {
  const record = await engine.findCollection(name);
  if (record === undefined) throw collectionNotFound(name);
  return record;
}

async function wantAbsent(engine: StorageEngine, name: string): Promise<void> {
  if ((await engine.findCollection(name)) !== undefined) throw collectionExists(name);
}

async function findIncarnation(
  engine: StorageEngine,
  name: string,
  { uid, allowMissing }: DropRequest,
): Promise<CollectionRecord | undefined> {
  const record = await engine.findCollection(name);
  if (record === undefined && !allowMissing) throw collectionNotFound(name);
  if (record !== undefined && uid !== undefined && record.uid !== uid) {
    throw anotherIncarnation(name, { expected: uid, found: record.uid });
  }
  return record;
}

/** The rules that a change leads to, and the record that it changes. */
async function planChange(
  engine: StorageEngine,
  name: string,
  { rules, revision, allowMissing }: RulesChange,
): Promise<Plan> {
  const record = await engine.findCollection(name);
  if (record === undefined && !allowMissing) throw collectionNotFound(name);
  const found = record?.revision ?? 0n;
  if (revision !== undefined && revision !== found) {
    throw anotherRevision(name, { expected: String(revision), found: String(found) });
  }
  const before = record === undefined ? DEFAULT_RULES : fromSettings(record.settings);
  return { record, rules: applyPatch(before, rules) };
}

interface Plan {
  /** Undefined: it does not exist yet. */
  readonly record: CollectionRecord | undefined;
  readonly rules: CollectionRules;
}

function documentsIn(record: CollectionRecord | undefined, nowMs: number): number {
  return record === undefined ? 0 : toView(record, nowMs).record.documents;
}

function toView(record: CollectionRecord, nowMs: number): CollectionView {
  const rules = fromSettings(record.settings);
  const endMs = expiryOfCollection(record, rules);
  const isOver = rules.ttlMs !== undefined && record.lastPutAtMs + rules.ttlMs <= nowMs;
  // Emptied or not yet: nobody sees its documents any more.
  const shown = endMs <= nowMs ? { ...record, documents: 0, bytes: 0 } : record;
  return {
    ...{ record: shown, rules, isExpired: isOver },
    expiresAtMs: Number.isFinite(endMs) && endMs > nowMs ? endMs : undefined,
  };
}

/** What a collection would look like; for requests that only validate. */
function toPlannedView(name: string, { record, rules }: Plan, nowMs: number): CollectionView {
  const settings = toSettings(rules);
  if (record !== undefined) return toView({ ...record, settings }, nowMs);
  const counts = { documents: 0, bytes: 0, revision: 0n };
  const times = { createdAtMs: nowMs, lastPutAtMs: nowMs };
  return toView({ name, uid: '', settings, ...counts, ...times }, nowMs);
}
