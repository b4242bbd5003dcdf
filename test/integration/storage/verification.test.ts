/**
 * What `molten verify` says of damage: which records it took, by name, and nothing of their neighbours. Every
 * page of a small store is damaged in turn; what a reader of the file cannot get is what must be named.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { verify } from '../../../src/server/recovery.ts';
import { openConnection, type Connection } from '../../../src/storage/embedded/database.ts';
import { openKeyring } from '../../../src/storage/embedded/keyring.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { checkStore } from '../../../src/storage/embedded/recovery/check.ts';
import { startTestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const PASSWORD = 'correct horse battery staple';
const PAGE_BYTES = 4096;
const DOCUMENTS = 60;
const CURRENT = `SELECT v.body FROM head h JOIN ver v ON v.seq = h.seq
  JOIN collection c ON c.id = h.collection WHERE c.name = ? AND h.key = ?`;

interface Small {
  readonly file: string;
  readonly dataKey: string;
}

/** Two collections, some bodies of several pages, one of them written twice; as one file. */
async function makeSmall(directory: string): Promise<Small> {
  const place = { directory: join(directory, 'store'), clock: systemClock, password: PASSWORD };
  {
    await using engine = await openEmbeddedStore(place);
    for (let n = 0; n < DOCUMENTS; n++) {
      const body = JSON.stringify({ n, text: 'x'.repeat(n % 10 === 0 ? 9000 : 700) });
      await engine.transact({ durability: 'async' }, (transaction) => {
        transaction.put({
          collection: n % 3 === 0 ? 'others' : 'things',
          key: `k${String(n)}`,
          body,
        });
      });
    }
    await engine.copy(join(directory, 'copy'));
  }
  const copy = join(directory, 'copy');
  const { dataKey } = await openKeyring(copy, PASSWORD);
  return { file: join(copy, 'moltendb.sqlite'), dataKey };
}

function open({ file, dataKey }: Small): Connection {
  return openConnection({ file, dataKey, access: 'read', cacheBytes: 1024 * 1024 });
}

/** The documents that a reader cannot get, as verification names them. */
function lostIn(database: Connection): readonly string[] {
  const names = Array.from({ length: DOCUMENTS }, (_, n) => ({
    collection: n % 3 === 0 ? 'others' : 'things',
    key: `k${String(n)}`,
  }));
  return names.flatMap(({ collection, key }) => {
    try {
      database.prepare(CURRENT).get(collection, key);
      return [];
    } catch {
      return [`document '${key}' of '${collection}'`];
    }
  });
}

function flip(bytes: Uint8Array, at: number): Buffer<ArrayBuffer> {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

describe('verification', () => {
  it('names the documents that damaged pages took, and no other', async () => {
    using directory = createTemporaryDirectory();
    const small = await makeSmall(directory.path);
    const whole = readFileSync(small.file);
    const seen = { documents: 0, ranges: 0, tables: 0 };
    const ofDocuments: number[] = [];
    for (let page = 1; page < whole.length / PAGE_BYTES; page++) {
      writeFileSync(small.file, flip(whole, page * PAGE_BYTES + 100));
      const database = open(small);
      const { problems } = checkStore(database);
      const lost = lostIn(database);
      database.close();
      expect(problems.length, `page ${String(page)}`).toBeGreaterThan(0);
      const isOf = (word: string): boolean => problems.some((one) => one.includes(word));
      if (isOf('list of collections') || isOf('timeline')) continue;
      if (isOf('where they are')) {
        // Heads are found by their key alone: a range is named, and all that is lost lies in it.
        seen.ranges += 1;
        continue;
      }
      const named = problems.flatMap((one) => /^document '\w+' of '\w+'/.exec(one)?.[0] ?? []);
      expect(named.toSorted(), problems.join('\n')).toEqual(lost.toSorted());
      const others = problems.filter((one) => !one.startsWith('document '));
      if (lost.length > 0) {
        seen.documents += 1;
        if (lost.length < 10) ofDocuments.push(page);
        for (const one of others) expect(one).toMatch(/^the log: sequences? \d+( to \d+)? cannot/);
      } else {
        seen.tables += 1;
        expect(others).toEqual([expect.stringMatching(/^(the table '\w+'|pages that no table)/)]);
      }
    }
    expect(seen.documents).toBeGreaterThan(20);
    expect(seen.ranges).toBeGreaterThan(0);
    expect(seen.tables).toBeGreaterThan(3);
    // Several at once: what lies between them is looked at all the same.
    let changed: Buffer<ArrayBuffer> = Buffer.from(whole);
    for (const page of ofDocuments.filter((_, at) => at % 5 === 0)) {
      changed = flip(changed, page * PAGE_BYTES + 100);
    }
    writeFileSync(small.file, changed);
    const database = open(small);
    const { problems } = checkStore(database);
    const lost = lostIn(database);
    database.close();
    const named = problems.flatMap((one) => /^document '\w+' of '\w+'/.exec(one)?.[0] ?? []);
    expect(problems.filter((one) => one.startsWith('the log')).length).toBeGreaterThan(3);
    expect(named.toSorted()).toEqual(lost.toSorted());
  }, 60_000);

  it('goes on in a snapshot whose file has another content, and names what inside is damaged', async () => {
    await using server = await startTestServer({ encryptionKey: PASSWORD });
    const text = 'x'.repeat(20_000);
    for (const key of ['a', 'b', 'c']) {
      const path = `/v1/collections/things/documents/${key}`;
      await server.asRoot('PUT', path, { body: { fields: { text } } });
    }
    const taken = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
    const directory = join(server.dbPath, 'snapshots', String(taken.body.snapshot.name));
    const sound = await verify(directory, { password: PASSWORD, store: undefined });
    expect(sound).toMatchObject({ kind: 'snapshot', store: { problems: [] } });
    const file = join(directory, 'moltendb.sqlite');
    const whole = readFileSync(file);
    const named = new Set<string>();
    for (let page = 1; page < whole.length / PAGE_BYTES; page += 4) {
      writeFileSync(file, flip(whole, page * PAGE_BYTES + 100));
      const found = await verify(directory, { password: PASSWORD, store: undefined });
      const problems = found.kind === 'archive' ? [] : found.store.problems;
      expect(problems[0]).toBe(`the file 'moltendb.sqlite' has another content`);
      expect(problems.length).toBeGreaterThan(1);
      for (const one of problems) named.add(/^document '(\w)' of 'things'/.exec(one)?.[1] ?? '');
    }
    expect([...named].sort()).toEqual(['', 'a', 'b', 'c']);
    rmSync(file);
    expect(readdirSync(directory)).not.toContain('moltendb.sqlite');
    const missing = verify(directory, { password: PASSWORD, store: undefined });
    await expect(missing).rejects.toThrow(/moltendb\.sqlite' is missing/);
  }, 60_000);
});
