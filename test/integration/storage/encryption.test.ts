import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { keysOf, put, read, reasonOf } from '../../contract/support.ts';
import { openKeyring, randomKey, writeKeyring } from '../../../src/storage/embedded/keyring.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const SECRET = 'a body nobody may read';
const PASSWORD = 'correct horse battery staple';

/** Makes a store with one document and returns the file of a copy. */
async function fill(directory: string, password: string | undefined): Promise<string> {
  await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
  await put(engine, 'a-secret-key', { text: SECRET });
  await engine.copy(join(directory, 'copy'));
  return join(directory, 'copy', 'moltendb.sqlite');
}

async function reopen(directory: string, password: string | undefined): Promise<unknown> {
  await using engine = await openEmbeddedStore({ directory, clock: systemClock, password });
  return (await read(engine, 'a-secret-key'))?.body;
}

/** Names and times of everything in a directory, to prove that nothing was touched. */
function listing(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => name !== 'LOCK')
    .map((name) => `${name} ${statSync(join(directory, name)).mtimeMs.toString()}`);
}

describe('an encrypted store', () => {
  it('opens with its key and leaves no plaintext in any file', async () => {
    using directory = createTemporaryDirectory();
    const snapshot = await fill(directory.path, PASSWORD);
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
    const files = readdirSync(directory.path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files).toContain(snapshot);
    for (const file of files) {
      const content = readFileSync(file, 'latin1');
      expect(content).not.toContain(SECRET);
      expect(content).not.toContain('a-secret-key');
      if (!file.endsWith('LOCK')) expect(content).not.toContain('SQLite format 3');
    }
  });

  it('leaves none in the write-ahead log while it is open and full', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
    await using engine = await openEmbeddedStore(options);
    for (let n = 0; n < 50; n++) await put(engine, `a-secret-key-${String(n)}`, { text: SECRET });
    const contents = readdirSync(directory.path).map((name): [string, string] => [
      ...([name, readFileSync(join(directory.path, name), 'latin1')] as const),
    ]);
    expect(new Map(contents).get('moltendb.sqlite-wal')?.length).toBeGreaterThan(100_000);
    for (const [name, content] of contents) {
      expect([name, content.includes(SECRET)]).toEqual([name, false]);
      expect([name, content.includes('a-secret-key')]).toEqual([name, false]);
    }
  });

  it.each([
    ['a wrong key', 'wrong'],
    ['no key', undefined],
  ])('is refused with %s, and nothing changes', async (_, password) => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, PASSWORD);
    const before = listing(directory.path);
    expect(await reasonOf(reopen(directory.path, password))).toBe('ENGINE_UNAVAILABLE');
    expect(listing(directory.path)).toEqual(before);
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
  });

  it('opens by the copy of its keyring when the first is damaged', async () => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, PASSWORD);
    writeFileSync(join(directory.path, 'keyring.json'), '{"format":1');
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
    writeFileSync(join(directory.path, 'keyring.copy.json'), 'gone');
    expect(await reasonOf(reopen(directory.path, PASSWORD))).toBe('CORRUPTION_DETECTED');
  });

  it('is refused when its keyring was weakened', async () => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, PASSWORD);
    for (const name of ['keyring.json', 'keyring.copy.json']) {
      const file = join(directory.path, name);
      writeFileSync(file, readFileSync(file, 'utf8').replace('"passes": 3', '"passes": 1'));
    }
    expect(await reasonOf(reopen(directory.path, PASSWORD))).toBe('ENGINE_UNAVAILABLE');
  });

  it('is refused when a page was changed on disk', async () => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, PASSWORD);
    const file = join(directory.path, 'moltendb.sqlite');
    const bytes = readFileSync(file);
    for (let page = 1; page * 4096 < bytes.length; page++) {
      const at = page * 4096 + 100;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    }
    writeFileSync(file, bytes);
    expect(await reasonOf(reopen(directory.path, PASSWORD))).not.toBeUndefined();
  });
});

describe('a cleartext store', () => {
  it('is refused with a key, and no keyring is made', async () => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, undefined);
    expect(await reasonOf(reopen(directory.path, PASSWORD))).toBe('ENGINE_UNAVAILABLE');
    expect(existsSync(join(directory.path, 'keyring.json'))).toBe(false);
    expect(await reopen(directory.path, undefined)).toContain(SECRET);
  });

  it('is opened by one engine at a time', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock };
    await using first = await openEmbeddedStore(options);
    await expect(openEmbeddedStore(options)).rejects.toThrow(/open in another process/);
    await first.close();
    await (await openEmbeddedStore(options)).close();
  });

  it('belongs to its owner alone', async () => {
    using directory = createTemporaryDirectory();
    const place = join(directory.path, 'store');
    await fill(place, undefined);
    expect(statSync(place).mode & 0o777).toBe(0o700);
    expect(statSync(join(place, 'moltendb.sqlite')).mode & 0o777).toBe(0o600);
  });
});

describe('a copy', () => {
  it('is a store of its own, exact at its sequence, taken while writes go on', async () => {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({
      directory: join(directory.path, 'store'),
      clock: systemClock,
    });
    const stop = new AbortController();
    const writing = (async () => {
      for (let at = 0; !stop.signal.aborted; at++) await put(engine, at.toString(), { at });
    })();
    await put(engine, 'first', {});
    const target = join(directory.path, 'copy');
    const snapshot = await engine.copy(target);
    stop.abort();
    await writing;
    await using copy = await openEmbeddedStore({ directory: target, clock: systemClock });
    expect((await copy.head()).sequence).toBe(snapshot.sequence);
    expect(await read(copy, 'first')).toBeDefined();
    const { documents } = (await copy.findCollection('things')) ?? { documents: 0 };
    expect(BigInt(documents)).toBe(snapshot.sequence - 1n);
  });

  it('leaves nothing behind when it is canceled', async () => {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
    await put(engine, 'a', {});
    const target = join(directory.path, 'snapshots');
    expect(await reasonOf(engine.copy(target, AbortSignal.abort()))).toBe('CANCELED');
    expect(existsSync(target)).toBe(false);
  });
});

describe('another data key', () => {
  it('is taken while the store is read and written, and kept over a restart', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
    const file = join(directory.path, 'moltendb.sqlite');
    {
      await using engine = await openEmbeddedStore(options);
      for (let at = 0; at < 200; at++) await put(engine, `k${at.toString()}`, { text: SECRET });
      const archiveKey = engine.derivedKey('archive');
      const before = keyringText(directory.path);
      const stop = new AbortController();
      const busy = Promise.all(
        [0, 1, 2, 3].map(async (client) => {
          let count = 0;
          for (; !stop.signal.aborted; count++) {
            await put(engine, `new-${client.toString()}-${count.toString()}`, {});
            await read(engine, 'k1');
            await keysOf(engine, { keyPrefix: 'k1' });
          }
          return count;
        }),
      );
      await engine.rotateDataKey();
      await engine.rotateDataKey();
      stop.abort();
      const counts = await busy;
      for (const [client, count] of counts.entries()) {
        const last = `new-${client.toString()}-${(count - 1).toString()}`;
        expect(await read(engine, last)).toBeDefined();
      }
      expect(keyringText(directory.path)).not.toBe(before);
      expect(keyringText(directory.path)).not.toContain('next');
      expect(engine.derivedKey('archive')).toEqual(archiveKey);
    }
    expect(readFileSync(file, 'latin1')).not.toContain(SECRET);
    await using engine = await openEmbeddedStore(options);
    expect((await keysOf(engine, { keyPrefix: 'k' })).length).toBe(200);
  });

  it('is found out after a crash at any moment of the change', async () => {
    for (const isWritten of [false, true]) {
      using directory = createTemporaryDirectory();
      const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
      await fill(directory.path, PASSWORD);
      const old = await openKeyring(directory.path, PASSWORD);
      const engine = await openEmbeddedStore(options);
      if (isWritten) await engine.rotateDataKey();
      await engine.close();
      const now = await openKeyring(directory.path, PASSWORD);
      // As the change leaves it before the keyring is settled.
      const nextKey = isWritten ? now.dataKey : randomKey();
      await writeKeyring(directory.path, PASSWORD, { ...now, dataKey: old.dataKey, nextKey });
      expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
      const settled = await openKeyring(directory.path, PASSWORD);
      expect(settled.nextKey).toBeUndefined();
      expect(settled.dataKey === old.dataKey).toBe(!isWritten);
    }
  });

  it('is taken twice at once, and with a copy, one after the other', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
    await fill(directory.path, PASSWORD);
    const before = await openKeyring(directory.path, PASSWORD);
    const copy = join(directory.path, 'another-copy');
    {
      await using engine = await openEmbeddedStore(options);
      await Promise.all([engine.rotateDataKey(), engine.copy(copy), engine.rotateDataKey()]);
      expect(await reopen(copy, PASSWORD)).toContain(SECRET);
    }
    const now = await openKeyring(directory.path, PASSWORD);
    const between = await openKeyring(copy, PASSWORD);
    expect(new Set([before, between, now].map(({ dataKey }) => dataKey)).size).toBe(3);
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
  });

  it('is refused while another one is pending, and the keyring stays as it is', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
    await fill(directory.path, PASSWORD);
    {
      await using engine = await openEmbeddedStore(options);
      const keys = await openKeyring(directory.path, PASSWORD);
      await writeKeyring(directory.path, PASSWORD, { ...keys, nextKey: randomKey() });
      const before = keyringText(directory.path);
      await expect(engine.rotateDataKey()).rejects.toThrow(/restart the server/);
      expect(keyringText(directory.path)).toBe(before);
    }
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
  });

  it('is not guessed when neither key opens the store, and the keyring stays as it is', async () => {
    using directory = createTemporaryDirectory();
    await fill(directory.path, PASSWORD);
    const keys = await openKeyring(directory.path, PASSWORD);
    const strange = { ...keys, dataKey: randomKey(), nextKey: randomKey() };
    await writeKeyring(directory.path, PASSWORD, strange);
    const before = keyringText(directory.path);
    expect(await reasonOf(reopen(directory.path, PASSWORD))).toBe('ENGINE_UNAVAILABLE');
    expect(keyringText(directory.path)).toBe(before);
    await writeKeyring(directory.path, PASSWORD, keys);
    expect(await reopen(directory.path, PASSWORD)).toContain(SECRET);
  });

  it('does not stop the store when the keyring cannot be written at the end', async () => {
    using directory = createTemporaryDirectory();
    const options = { directory: directory.path, clock: systemClock, password: PASSWORD };
    const obstacle = join(directory.path, 'keyring.json.tmp');
    {
      await using engine = await openEmbeddedStore(options);
      await put(engine, 'a-secret-key', { text: SECRET });
      let rotating: Promise<unknown> = Promise.resolve();
      // While a transaction is under way no page is written again.
      await engine.transact({ durability: 'sync' }, async (transaction) => {
        rotating = reasonOf(engine.rotateDataKey());
        await vi.waitFor(() => {
          const copy = readFileSync(join(directory.path, 'keyring.copy.json'), 'utf8');
          expect(copy).toContain('"next"');
        }, 30_000);
        mkdirSync(obstacle);
        transaction.put({
          collection: 'things',
          key: 'within',
          body: '{}',
          expiresAtMs: undefined,
        });
      });
      expect(await rotating).toBeDefined();
      await put(engine, 'afterwards', {});
      expect((await read(engine, 'a-secret-key'))?.body).toContain(SECRET);
      expect(await keysOf(engine, { keyPrefix: 'within' })).toEqual(['within']);
      expect(await reasonOf(engine.rotateDataKey())).toBe('ENGINE_UNAVAILABLE');
    }
    rmSync(obstacle, { recursive: true });
    await using engine = await openEmbeddedStore(options);
    expect((await keysOf(engine, {})).length).toBe(3);
    expect(keyringText(directory.path)).not.toContain('next');
  });

  it('is refused for a store without one', async () => {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
    expect(await reasonOf(engine.rotateDataKey())).toBe('ARGUMENT_INVALID');
  });
});

function keyringText(directory: string): string {
  return readFileSync(join(directory, 'keyring.json'), 'utf8');
}
