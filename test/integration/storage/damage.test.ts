/**
 * Damage that shows while the store is open: an fsync that fails, and a page whose checksum does. Neither
 * is tried again as if nothing were; writing stops, and whoever asks is told.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openConnection, type Connection } from '../../../src/storage/embedded/database.ts';
import type { CommitRequest } from '../../../src/storage/commit/operations.ts';
import type { WriterResult } from '../../../src/storage/embedded/protocol.ts';
import { prepareSchema } from '../../../src/storage/embedded/schema.ts';
import { createWriter } from '../../../src/storage/embedded/writer.ts';
import { startTestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const ENCRYPTION_KEY = 'an encryption key for tests';
const LARGE = Array.from({ length: 8 }, (_, n) => `large${String(n)}`);

/** A connection whose commits fail once `fail` is called, as when the disk does not do them. */
function failingConnection(
  database: Connection,
  code: string,
): {
  readonly connection: Connection;
  readonly fail: () => void;
  readonly commits: () => number;
} {
  let isFailing = false;
  let commits = 0;
  const connection = new Proxy(database, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'prepare') return value.bind(target) as unknown;
      return (sql: string) => {
        const statement = target.prepare(sql);
        if (sql !== 'COMMIT') return statement;
        const run = (): unknown => {
          commits += 1;
          if (!isFailing) return statement.run();
          throw Object.assign(new Error('disk I/O error'), { code });
        };
        return { run };
      };
    },
  });
  const fail = (): void => {
    isFailing = true;
  };
  return { connection, fail, commits: () => commits };
}

function commitOf(key: string): CommitRequest {
  return {
    ...{
      durability: 'sync',
      request: undefined,
      lease: undefined,
      value: undefined,
      seen: [],
      seenCollections: [],
    },
    operations: [
      {
        ...{ kind: 'put', collection: 'things', key, body: '{}', expiresAtMs: undefined },
        ...{ precondition: undefined, isUpdate: false },
      },
    ],
  };
}

function outcomesOf(result: WriterResult): readonly unknown[] {
  if (result.kind !== 'committed') throw new Error(`the writer answered with ${result.kind}`);
  return result.outcomes.map((one) => (one.kind === 'refused' ? one.refusal.reason : one.kind));
}

describe('a commit that the disk fails', () => {
  it.each([
    ['an fsync', 'SQLITE_IOERR_FSYNC'],
    ['a write (EIO)', 'SQLITE_IOERR_WRITE'],
    ['a read (EIO)', 'SQLITE_IOERR_READ'],
  ])('at %s is no acknowledgement, is never tried again, and ends all writing', (_, code) => {
    using directory = createTemporaryDirectory();
    const place = { file: join(directory.path, 'store.sqlite'), dataKey: undefined };
    const database = openConnection({ ...place, access: 'write', cacheBytes: 1024 * 1024 });
    prepareSchema(database);
    const { connection, fail, commits } = failingConnection(database, code);
    const writer = createWriter(connection, new Int32Array(1));
    const commit = (...keys: string[]): readonly unknown[] =>
      outcomesOf(writer.run({ kind: 'commit', commits: keys.map(commitOf) }, 1));
    expect(commit('a')).toEqual(['committed']);
    const before = writer.takeState();
    expect(before.fault).toBeUndefined();
    fail();
    expect(commit('b', 'c')).toEqual(['ENGINE_UNAVAILABLE', 'ENGINE_UNAVAILABLE']);
    const after = writer.takeState();
    expect(after.fault).toContain(code);
    expect(after.lastSequence).toBe(before.lastSequence);
    expect(after.durableSequence).toBe(before.durableSequence);
    const tried = commits();
    expect(commit('d')).toEqual(['READ_ONLY']);
    expect(writer.run({ kind: 'flush' }, 1)).toEqual({ kind: 'done' });
    expect(writer.work()).toBe(false);
    expect(commits()).toBe(tried);
    database.close();
  });
});

describe('a page whose checksum fails at a read', () => {
  it('is told as damage, ends all writing, and the rest is read on', async () => {
    using directory = createTemporaryDirectory();
    const config = { dbPath: directory.path, encryptionKey: ENCRYPTION_KEY, cacheBytes: 0 };
    const path = '/v1/collections/things/documents';
    {
      await using server = await startTestServer(config);
      const put = async (key: string, text: string): Promise<void> => {
        const body = { body: { fields: { text } } };
        expect((await server.asRoot('PUT', `${path}/${key}`, body)).status).toBe(200);
      };
      await put('small', 'whole');
      // So much that most of it has left the write-ahead log, and nothing else is in most of the file.
      for (const key of LARGE) await put(key, 'molten'.repeat(160_000));
      await server.close();
    }
    damage(join(directory.path, 'moltendb.sqlite'));
    await using server = await startTestServer(config);
    const fields = { body: { fields: { n: 1 } } };
    expect((await server.asRoot('PUT', `${path}/before`, fields)).status).toBe(200);
    const answers = [];
    for (const key of LARGE) {
      const { status, body } = await server.asRoot('GET', `${path}/${key}`);
      answers.push(status === 200 ? 'whole' : body.reason);
    }
    expect(answers.toSorted()).toEqual([
      'CORRUPTION_DETECTED',
      ...LARGE.slice(1).map(() => 'whole'),
    ]);
    const refused = await server.asRoot('PUT', `${path}/after`, fields);
    expect(refused.body.reason).toBe('READ_ONLY');
    const { body: health } = await server.request('GET', '/v1/health');
    expect(health.state).toBe('SERVING_STATE_READ_ONLY');
    for (const key of ['small', 'before']) {
      expect((await server.asRoot('GET', `${path}/${key}`)).status).toBe(200);
    }
  });

  it('fails a snapshot, of which nothing stays', async () => {
    using directory = createTemporaryDirectory();
    const config = { dbPath: directory.path, encryptionKey: ENCRYPTION_KEY };
    {
      await using server = await startTestServer(config);
      for (const key of LARGE) {
        const body = { body: { fields: { text: 'x'.repeat(500_000) } } };
        await server.asRoot('PUT', `/v1/collections/things/documents/${key}`, body);
      }
    }
    damage(join(directory.path, 'moltendb.sqlite'));
    await using server = await startTestServer(config);
    const { body } = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
    expect(body.operation).toMatchObject({ state: 'OPERATION_STATE_FAILED' });
    expect(body.operation.error.message).toMatch(/damaged|failed with SQLITE_/);
    expect(readdirSync(join(directory.path, 'snapshots'))).toEqual([]);
  });
});

/** Changes a bit where only large documents are. */
function damage(file: string): void {
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length / 3);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(file, bytes);
}
