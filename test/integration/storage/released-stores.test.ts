/** Every format of the store that a release has written is read by this one. */
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import Database from 'better-sqlite3-multiple-ciphers';
import { describe, expect, it } from 'vitest';

import { recover, rotateDataKey, verify } from '../../../src/server/recovery.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { hasAes } from '../../../src/platform/processor.ts';
import { openConnection } from '../../../src/storage/embedded/database.ts';
import { openKeyring } from '../../../src/storage/embedded/keyring.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { STORE_FORMAT } from '../../../src/storage/embedded/schema.ts';
import { STORE_FILE } from '../../../src/storage/embedded/store-file.ts';
import { QUERY } from '../../contract/support.ts';
import {
  CLERK,
  configOf,
  KEPT_NOW,
  STORE_PASSWORD,
  STORES,
  type ReleasedStore,
} from '../../support/released-store.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const password = STORE_PASSWORD;

interface Kept extends Disposable {
  readonly path: string;
  readonly expected: ReleasedStore;
}

/** A copy of a kept store; its keyring may be read by its owner alone, which git does not keep. */
function copyOf(name: string): Kept {
  const directory = createTemporaryDirectory();
  const { path } = directory;
  cpSync(join(STORES, name), path, { recursive: true });
  for (const keyring of ['keyring.json', 'keyring.copy.json'])
    chmodSync(join(path, 'store', keyring), 0o600);
  const text = readFileSync(join(path, 'expected.json'), 'utf8');
  return {
    ...{ path, expected: JSON.parse(text) as ReleasedStore },
    [Symbol.dispose]() {
      directory[Symbol.dispose]();
    },
  };
}

async function documentsOf(server: TestServer, sequence?: string): Promise<unknown> {
  const at = sequence === undefined ? '' : `&readSequence=${sequence}`;
  const { body } = await server.asRoot(
    'GET',
    `/v1/collections/orders/documents?pageSize=1000${at}`,
  );
  const documents = body.documents as readonly { readonly key: string; readonly fields: unknown }[];
  return Object.fromEntries(documents.map(({ key, fields }) => [key, fields]));
}

/** As another release would have written it; tables that this one does not know are beside its own. */
function setFormat(store: string, format: number): void {
  const database = new Database(join(store, 'moltendb.sqlite'));
  database.exec('CREATE TABLE IF NOT EXISTS of_a_newer_release (n)');
  database.prepare("UPDATE meta SET value = ? WHERE name = 'format'").run(format);
  database.close();
}

/** Every file of a store with a digest of what is in it. */
function contentsOf(store: string): readonly (readonly [string, string])[] {
  const files = readdirSync(store, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile())
    .map(({ name, parentPath }) => [name, digestOf(join(parentPath, name))] as const)
    .toSorted();
}

const digestOf = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/** Bytes that each page keeps free for its nonce and tag; by them a file tells how it is encrypted. */
function reservedIn(store: string): number | undefined {
  return readFileSync(join(store, 'moltendb.sqlite'))[20];
}

const CHACHA20_RESERVED = 32;
const AEGIS_RESERVED = 64;

async function ordersIn(directory: string): Promise<unknown> {
  await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
  const { documents } = await engine.query({ ...QUERY, collection: 'orders' });
  return Object.fromEntries(documents.map(({ key, body }) => [key, JSON.parse(body) as unknown]));
}

describe('a store of a release', () => {
  it('is kept as this one writes it', () => {
    expect(readdirSync(STORES)).toContain(KEPT_NOW);
    using kept = copyOf(KEPT_NOW);
    expect(reservedIn(join(kept.path, 'store'))).toBe(AEGIS_RESERVED);
  });

  it('is one file once its server has stopped', async () => {
    using kept = copyOf(KEPT_NOW);
    const server = await startTestServer(configOf(kept.path));
    await documentsOf(server);
    await server.asRoot('PUT', '/v1/collections/things/documents/x', { body: { fields: {} } });
    await server.close();
    const files = readdirSync(join(kept.path, 'store')).sort();
    expect(files).toEqual([
      ...['LOCK', 'keyring.copy.json', 'keyring.json', 'moltendb.sqlite', 'snapshots'],
    ]);
  });

  it('of before keeps how its pages are encrypted', async () => {
    using kept = copyOf('1-chacha20');
    const store = join(kept.path, 'store');
    await (await startTestServer(configOf(kept.path))).close();
    expect(reservedIn(store)).toBe(CHACHA20_RESERVED);
  });

  it('of a newer format is refused and left as it is', async () => {
    using directory = createTemporaryDirectory();
    const { path: dbPath } = directory;
    const path = '/v1/collections/things/documents/a';
    {
      await using server = await startTestServer({ dbPath });
      await server.asRoot('PUT', path, { body: { fields: { n: 1 } } });
    }
    setFormat(dbPath, STORE_FORMAT + 1);
    const before = contentsOf(dbPath);
    expect(before.map(([name]) => name)).toContain('moltendb.sqlite');
    await expect(startTestServer({ dbPath })).rejects.toMatchObject({
      reason: 'ENGINE_UNAVAILABLE',
      message: `the store has format ${String(STORE_FORMAT + 1)}, this release reads ${String(STORE_FORMAT)}; use the release that wrote it`,
    });
    expect(contentsOf(dbPath)).toEqual(before);
    // The release that wrote it finds all of it.
    setFormat(dbPath, STORE_FORMAT);
    await using server = await startTestServer({ dbPath });
    expect((await server.asRoot('GET', path)).body.document.fields).toEqual({ n: 1 });
  });

  describe.each(readdirSync(STORES))('kept as %s', (name) => {
    it('is verified, and so are its snapshot and its archive', async () => {
      using kept = copyOf(name);
      const store = join(kept.path, 'store');
      const { snapshot, middle, end } = kept.expected;
      const found = await verify(store, { password, store: undefined });
      expect(found).toMatchObject({ kind: 'store', store: { problems: [] } });
      const ofSnapshot = await verify(join(store, 'snapshots', snapshot), { password, store });
      expect(ofSnapshot).toMatchObject({ kind: 'snapshot', store: { problems: [] } });
      const ofArchive = await verify(join(kept.path, 'archive'), { password, store });
      expect(ofArchive).toMatchObject({ kind: 'archive', timelines: [{ first: 1n }] });
      expect(Number(middle.sequence)).toBeLessThan(Number(end.sequence));
    });

    it('serves what it holds, now and as of its past, and takes writes', async () => {
      using kept = copyOf(name);
      const { middle, end, apiKey } = kept.expected;
      await using server = await startTestServer(configOf(kept.path));
      expect(await documentsOf(server)).toEqual(end.documents);
      expect(await documentsOf(server, middle.sequence)).toEqual(middle.documents);
      const query = { query: { where: { 'buyer.name': 'Zoë 1' } } };
      const explained = '/v1/collections/orders/documents:explain';
      const { body: plan } = await server.asRoot('POST', explained, query);
      expect(plan.plan).toMatchObject({ index: expect.stringContaining('buyer') });
      const refused = await server.asRoot('PUT', '/v1/collections/orders/documents/x', {
        body: { fields: { sum: 1 } },
      });
      expect([refused.status, refused.body.reason]).toEqual([400, 'SCHEMA_VIOLATION']);
      const written = await server.asRoot('PUT', '/v1/collections/orders/documents/x', {
        body: { fields: { total: 1 } },
      });
      expect(Number(written.body.result.sequence)).toBeGreaterThan(Number(end.sequence));
      const byKey = await server.request('GET', '/v1/collections/orders/documents/o4', {
        headers: { 'x-api-key': apiKey },
      });
      expect(byKey.body.document.fields).toEqual(end.documents['o4']);
    });

    it('knows its users, their roles and its audit log', async () => {
      using kept = copyOf(name);
      await using server = await startTestServer(configOf(kept.path));
      const login = await server.request('POST', '/v1/sessions', { body: CLERK });
      const token = String(login.body.token);
      const path = '/v1/collections/orders/documents/o4';
      expect((await server.request('GET', path, { token })).status).toBe(200);
      expect((await server.request('DELETE', path, { token })).status).toBe(403);
      const { body } = await server.asRoot('POST', '/v1/auditRecords:verify', {});
      expect(body).toMatchObject({ sound: true });
    });

    it('is recovered from its snapshot and its archive to what it was', async () => {
      using kept = copyOf(name);
      const { snapshot, end } = kept.expected;
      const out = join(kept.path, 'recovered');
      const target = { kind: 'sequence', sequence: Number(end.sequence) } as const;
      const source = join(kept.path, 'store', 'snapshots', snapshot);
      await recover({ source, out, archive: join(kept.path, 'archive'), password, target });
      expect(await ordersIn(out)).toEqual(end.documents);
      expect(reservedIn(out)).toBe(hasAes() ? AEGIS_RESERVED : CHACHA20_RESERVED);
    });

    it('takes another key while it is open, and its pages stay as they are', async () => {
      using kept = copyOf(name);
      const store = join(kept.path, 'store');
      const copy = join(kept.path, 'copy');
      const reserved = reservedIn(store);
      {
        const directory = store;
        await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
        await engine.rotateDataKey();
        await engine.copy(copy);
      }
      for (const directory of [store, copy]) {
        expect(await ordersIn(directory)).toEqual(kept.expected.end.documents);
        expect(reservedIn(directory)).toBe(reserved);
      }
    });

    it('keeps what is in its log alone when its server has crashed', async () => {
      using kept = copyOf(name);
      const directory = join(kept.path, 'store');
      const crashed = join(kept.path, 'crashed');
      {
        await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
        await engine.transact({ durability: 'sync' }, (transaction) => {
          transaction.put({ collection: 'orders', key: 'last', body: '{"total":1}' });
        });
        cpSync(directory, crashed, { recursive: true });
      }
      const documents = { ...kept.expected.end.documents, last: { total: 1 } };
      for (let start = 0; start < 2; start++) expect(await ordersIn(crashed)).toEqual(documents);
    });

    it('keeps how its pages are encrypted when it is written again', async () => {
      using kept = copyOf(name);
      const source = join(kept.path, 'store');
      const out = join(kept.path, 'rotated');
      await rotateDataKey({ source, out, password });
      expect(reservedIn(out)).toBe(reservedIn(source));
      expect(await ordersIn(out)).toEqual(kept.expected.end.documents);
    });

    it('opens when a crash has left a journal that is to be rolled back', async () => {
      using kept = copyOf(name);
      const directory = join(kept.path, 'store');
      const crashed = join(kept.path, 'crashed');
      const { dataKey } = await openKeyring(directory, password);
      const file = join(directory, STORE_FILE);
      const database = openConnection({ file, dataKey, access: 'write', cacheBytes: 1 << 16 });
      for (const pragma of ['journal_mode = DELETE', 'synchronous = OFF']) database.pragma(pragma);
      database.exec("BEGIN IMMEDIATE; UPDATE ver SET body = '{}'; PRAGMA cache_spill = 1");
      cpSync(directory, crashed, { recursive: true });
      database.close();
      expect(readdirSync(crashed)).toContain(`${STORE_FILE}-journal`);
      for (let start = 0; start < 2; start++) {
        expect(await ordersIn(crashed)).toEqual(kept.expected.end.documents);
      }
    });
  });
});
