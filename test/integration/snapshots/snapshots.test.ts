import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import type { ServerConfig } from '../../../src/config/server-config.ts';
import { readManifest, verifyFiles } from '../../../src/domain/snapshots/manifest.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { delay } from '../../../src/platform/timers.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { keysOf } from '../../contract/support.ts';
import { createRandom, printedSeed } from '../../support/random.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const PASSWORD = 'correct horse battery staple';

async function put(server: TestServer, key: string, n: number): Promise<bigint> {
  const path = `/v1/collections/things/documents/${key}`;
  const { body } = await server.asRoot('PUT', path, { body: { fields: { n } } });
  return BigInt(body.result.sequence);
}

/** A snapshot in JSON, as far as the tests look at it. */
interface SnapshotJson {
  readonly name: string;
  readonly sequence: string;
  readonly documentCount: string;
  readonly files: readonly { readonly name: string }[];
  readonly hook?: unknown;
}

async function take(server: TestServer): Promise<SnapshotJson> {
  const { status, body } = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
  expect(status).toBe(200);
  return body.snapshot as SnapshotJson;
}

async function settle(server: TestServer, id: string): Promise<TestResponse['body']> {
  const { body } = await server.asRoot('POST', `/v1/operations/${id}:wait`, {});
  return body.operation;
}

describe('a snapshot', () => {
  it('is a store at one sequence, taken while writes go on, listed and described', async () => {
    await using server = await startTestServer({ encryptionKey: PASSWORD });
    for (let n = 0; n < 50; n++) await put(server, `k${String(n)}`, n);
    const writing = Promise.all(
      Array.from({ length: 50 }, (_, at) => put(server, `during${String(at)}`, at)),
    );
    const snapshot = await take(server);
    await writing;
    expect(snapshot).toMatchObject({ encrypted: true, cause: 'SNAPSHOT_CAUSE_REQUEST' });
    const directory = join(server.dbPath, 'snapshots', snapshot.name);
    await using store = await openEmbeddedStore({
      ...{ directory, clock: systemClock, password: PASSWORD },
    });
    expect((await store.head()).sequence).toBe(BigInt(snapshot.sequence));
    expect((await keysOf(store)).length).toBe(Number(snapshot.documentCount));
    const { body: listed } = await server.asRoot('GET', '/v1/snapshots');
    expect(listed.snapshots).toEqual([snapshot]);
    const { body: described } = await server.asRoot('GET', `/v1/snapshots/${snapshot.name}`);
    expect(described.snapshot).toEqual(snapshot);
  });

  it('is named by the operation that takes it', async () => {
    await using server = await startTestServer();
    const { body } = await server.asRoot('POST', '/v1/snapshots', {});
    const { subject } = await settle(server, body.operation.id);
    expect((await server.asRoot('GET', `/v1/snapshots/${String(subject)}`)).status).toBe(200);
    expect(subject).not.toBe('');
  });

  it('is verified, deleted, and not found then', async () => {
    await using server = await startTestServer();
    await put(server, 'a', 1);
    const { name } = await take(server);
    const { body } = await server.asRoot('POST', `/v1/snapshots/${name}:verify`, {});
    const sound = await settle(server, body.operation.id);
    expect(sound).toMatchObject({
      state: 'OPERATION_STATE_SUCCEEDED',
      doneCount: sound.totalCount,
    });
    expect((await server.asRoot('DELETE', `/v1/snapshots/${name}`)).status).toBe(200);
    const missing = await server.asRoot('GET', `/v1/snapshots/${name}`);
    expect([missing.status, missing.body.reason]).toEqual([404, 'SNAPSHOT_NOT_FOUND']);
    const odd = await server.asRoot('GET', '/v1/snapshots/..%2f..%2fetc');
    expect([odd.status, odd.body.reason]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(readdirSync(join(server.dbPath, 'snapshots'))).toEqual([]);
  });

  it('is known to be damaged by any byte of any of its files', async () => {
    await using server = await startTestServer({ encryptionKey: PASSWORD });
    await put(server, 'a', 1);
    const { name, files } = await take(server);
    const directory = join(server.dbPath, 'snapshots', name);
    const states = [];
    for (const { name: file } of files) {
      const path = join(directory, file);
      const before = readFileSync(path);
      const bytes = Buffer.from(before);
      const at = Math.floor(bytes.length / 2);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      writeFileSync(path, bytes);
      const { body } = await server.asRoot('POST', `/v1/snapshots/${name}:verify`, {});
      const operation = await settle(server, body.operation.id);
      states.push(operation.state);
      expect(operation.error.message).toContain(file);
      writeFileSync(path, before);
    }
    expect(states).toEqual(files.map(() => 'OPERATION_STATE_FAILED'));
    const manifest = join(directory, 'manifest.json');
    const text = readFileSync(manifest);
    for (let at = 0; at < text.length; at++) {
      const bytes = Buffer.from(text);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
      writeFileSync(manifest, bytes);
      const { body } = await server.asRoot('GET', `/v1/snapshots/${name}`);
      expect([at, body.reason]).toEqual([at, 'CORRUPTION_DETECTED']);
    }
    const { body } = await server.asRoot('GET', '/v1/snapshots');
    expect(body).toMatchObject({ snapshots: [], damagedSnapshots: [name] });
  });

  it('is known to be damaged by a bit of any page, and by any of many bytes', async () => {
    await using server = await startTestServer({ encryptionKey: PASSWORD });
    await put(server, 'a', 1);
    const { name } = await take(server);
    const directory = join(server.dbPath, 'snapshots', name);
    const manifest = await readManifest(directory);
    const path = join(directory, 'moltendb.sqlite');
    const whole = readFileSync(path);
    const random = createRandom(printedSeed());
    const pages = Array.from({ length: whole.length / 4096 }, (_, page) => page * 4096);
    const places = [
      ...pages.map((start) => start + random.below(4096)),
      ...Array.from({ length: 300 }, () => random.below(whole.length)),
    ];
    expect(pages.length).toBeGreaterThan(10);
    await verifyFiles(directory, manifest);
    for (const at of places) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
      writeFileSync(path, bytes);
      await expect(verifyFiles(directory, manifest), String(at)).rejects.toThrow('another content');
    }
  });

  it('tells how many bytes it has when its operation has ended', async () => {
    await using server = await startTestServer({ encryptionKey: PASSWORD });
    await put(server, 'a', 1);
    const { body } = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
    const bytes = String(body.snapshot.sizeBytes);
    expect(body.operation).toMatchObject({ doneCount: bytes, totalCount: bytes });
  });

  it('moves to another server in pieces, and opens there only when it is whole', async () => {
    await using server = await startTestServer();
    await using other = await startTestServer();
    await put(server, 'a', 1);
    const { name } = await take(server);
    const { text } = await server.asRoot('GET', `/v1/snapshots/${name}:download`);
    const pieces = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    const place = `/v1/snapshots/${name}`;
    const early = await other.asRoot('POST', `${place}:finishUpload`, {});
    expect(early.body.reason).toBe('CORRUPTION_DETECTED');
    for (const piece of pieces) await other.asRoot('POST', `${place}:uploadPart`, piece);
    const gap = { ...pieces[0], offset: '99999999' };
    expect((await other.asRoot('POST', `${place}:uploadPart`, gap)).status).toBe(400);
    const { body } = await other.asRoot('POST', `${place}:finishUpload`, {});
    expect(body.snapshot.name).toBe(name);
    const again = await other.asRoot('POST', `${place}:uploadPart`, pieces[0]);
    expect(again.body.detail).toContain('is there already');
  });

  it('from elsewhere leads nowhere else, and cannot break the list', async () => {
    await using server = await startTestServer();
    await put(server, 'a', 1);
    const { name } = await take(server);
    const text = readFileSync(join(server.dbPath, 'snapshots', name, 'manifest.json'), 'utf8');
    const { seal: _seal, ...sound } = JSON.parse(text) as { seal: string; files: object[] };
    const other = name.replace(/^\d{8}/, '20200101');
    const file = { bytes: 0, sha256: createHash('sha256').digest('hex') };
    const changes: readonly object[] = [
      { files: [...sound.files, { ...file, name: '../../secret' }] },
      { files: [{ ...file, name: 'keyring.json' }] },
      { documents: 1.5 },
      { createdAtMs: 1e300 },
      { sequence: 'x' },
      { hook: { exitCode: 1e10 } },
    ];
    for (const change of changes) {
      const content = { ...sound, name: other, ...change };
      const seal = createHash('sha256').update(JSON.stringify(content)).digest('hex');
      const data = Buffer.from(`${JSON.stringify({ ...content, seal }, undefined, 2)}\n`);
      const part = { file: 'manifest.json', offset: '0', data: data.toString('base64') };
      const place = `/v1/snapshots/${other}`;
      expect((await server.asRoot('POST', `${place}:uploadPart`, part)).status).toBe(200);
      const finished = await server.asRoot('POST', `${place}:finishUpload`, {});
      expect(finished.body.reason, JSON.stringify(change)).toBe('CORRUPTION_DETECTED');
    }
    const { body } = await server.asRoot('GET', '/v1/snapshots');
    expect((body.snapshots as readonly SnapshotJson[]).map((one) => one.name)).toEqual([name]);
  });

  it('is for administrators', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['read:*:*', 'write:*:*', 'schema:*:*']);
    for (const [method, path] of [
      ['POST', '/v1/snapshots'],
      ['GET', '/v1/snapshots'],
      ['GET', '/v1/snapshots/20260131T235959000Z-0000000000000042:download'],
      ['POST', '/v1/restores'],
      ['GET', '/v1/operations'],
    ] as const) {
      const body = method === 'POST' ? { body: {} } : {};
      expect((await server.request(method, path, { token, ...body })).status).not.toBe(200);
    }
  });
});

type Rules = ServerConfig['snapshots'];

function rulesOf(change: Partial<Rules>): { readonly snapshots: Rules } {
  return { snapshots: { schedule: undefined, keep: 0, hook: undefined, ...change } };
}

describe('a schedule', () => {
  it('takes snapshots and keeps the newest of them', async () => {
    await using server = await startTestServer(rulesOf({ schedule: '* * * * * *', keep: 1 }));
    const byHand = await take(server);
    const seen = new Set<string>();
    for (let look = 0; look < 200 && seen.size < 2; look++) {
      await delay(50);
      const { body } = await server.asRoot('GET', '/v1/snapshots');
      for (const { name, cause } of body.snapshots) {
        if (cause === 'SNAPSHOT_CAUSE_SCHEDULE') seen.add(name);
      }
    }
    expect(seen.size).toBeGreaterThanOrEqual(2);
    const { body } = await server.asRoot('GET', '/v1/snapshots');
    const names = (body.snapshots as readonly SnapshotJson[]).map(({ name }) => name);
    expect(names).toContain(byHand.name);
    expect(names.length).toBeLessThanOrEqual(3);
  });

  it('that is none keeps the server from starting', async () => {
    await expect(startTestServer(rulesOf({ schedule: 'every night' }))).rejects.toThrow(/cron/);
  });
});

describe('the program after a snapshot', () => {
  it('gets the directory as its only argument, and how it ends is told', async () => {
    using directory = createTemporaryDirectory();
    const script = join(directory.path, 'after backup.mjs');
    const out = join(directory.path, 'out.json');
    writeFileSync(
      script,
      `#!${process.execPath}\nimport { writeFileSync } from 'node:fs';\n` +
        `writeFileSync(${JSON.stringify(out)}, JSON.stringify(process.argv.slice(2)));\nprocess.exitCode = 3;\n`,
    );
    chmodSync(script, 0o700);
    const hook = { command: script, timeoutMs: 20_000 };
    await using server = await startTestServer(rulesOf({ hook }));
    const snapshot = await take(server);
    expect(snapshot.hook).toMatchObject({ command: script, exitCode: 3, timedOut: false });
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual([
      join(server.dbPath, 'snapshots', snapshot.name),
    ]);
  });

  it('is killed when it takes too long, and missed when it is not there', async () => {
    using directory = createTemporaryDirectory();
    const script = join(directory.path, 'sleep.mjs');
    writeFileSync(script, `#!${process.execPath}\nsetTimeout(() => {}, 60000);\n`);
    chmodSync(script, 0o700);
    const slow = rulesOf({ hook: { command: script, timeoutMs: 300 } });
    await using server = await startTestServer(slow);
    expect((await take(server)).hook).toMatchObject({ timedOut: true });
    const command = join(directory.path, 'missing');
    await using other = await startTestServer(rulesOf({ hook: { command, timeoutMs: 300 } }));
    const { hook } = await take(other);
    expect(hook).toMatchObject({ timedOut: false, problem: 'ENOENT' });
    expect(existsSync(join(other.dbPath, 'snapshots'))).toBe(true);
  });

  it('ends with its operation', async () => {
    using directory = createTemporaryDirectory();
    const script = join(directory.path, 'sleep.mjs');
    const marker = join(directory.path, 'started');
    writeFileSync(
      script,
      `#!${process.execPath}\nimport { writeFileSync } from 'node:fs';\n` +
        `writeFileSync(${JSON.stringify(marker)}, '');\nsetTimeout(() => {}, 60000);\n`,
    );
    chmodSync(script, 0o700);
    const slow = rulesOf({ hook: { command: script, timeoutMs: 60_000 } });
    await using server = await startTestServer(slow);
    const { body } = await server.asRoot('POST', '/v1/snapshots', { wait: '1s' });
    await vi.waitFor(() => {
      expect(existsSync(marker)).toBe(true);
    }, 30_000);
    await server.asRoot('POST', `/v1/operations/${String(body.operation.id)}:cancel`, {});
    const operation = await settle(server, body.operation.id);
    expect(operation.state).toBe('OPERATION_STATE_SUCCEEDED');
    const { body: listed } = await server.asRoot('GET', '/v1/snapshots');
    expect(listed.snapshots[0].hook).not.toHaveProperty('exitCode');
  });
});

describe('the past of a running server', () => {
  it('is compared with now and brought back under another name', async () => {
    await using server = await startTestServer();
    for (const key of ['a', 'b', 'c']) await put(server, key, 1);
    const point = { sequence: String(await put(server, 'd', 1)) };
    await put(server, 'a', 2);
    await server.asRoot('DELETE', '/v1/collections/things/documents/b');
    await put(server, 'e', 1);
    const { body } = await server.asRoot('POST', '/v1/restores:preview', { point });
    expect(body.differences).toEqual([
      {
        ...{ collection: 'things', existed: true, exists: true },
        ...{ removedCount: '1', addedCount: '1', changedCount: '1' },
        sampleKeys: ['a', 'b', 'e'],
      },
    ]);
    const request = { point, collection: 'things', target: 'things-then' };
    const started = await server.asRoot('POST', '/v1/restores', request);
    const operation = await settle(server, started.body.operation.id);
    expect(operation).toMatchObject({ state: 'OPERATION_STATE_SUCCEEDED', doneCount: '4' });
    const { body: then } = await server.asRoot('GET', '/v1/collections/things-then/documents');
    const shown = then.documents.map((one: { key: string; fields: object }) => [
      one.key,
      one.fields,
    ]);
    expect(shown).toEqual(['a', 'b', 'c', 'd'].map((key) => [key, { n: 1 }]));
    const again = await server.asRoot('POST', '/v1/restores', request);
    expect(again.body.reason).toBe('COLLECTION_EXISTS');
  });

  it('may be a moment, a part, or a collection that is gone', async () => {
    await using server = await startTestServer();
    await put(server, 'a', 1);
    await put(server, 'b', 1);
    await delay(20);
    const time = new Date(systemClock.now()).toISOString();
    await delay(20);
    await server.asRoot('DELETE', '/v1/collections/things');
    const point = { time };
    const { body } = await server.asRoot('POST', '/v1/restores:preview', { point });
    expect(body.differences).toMatchObject([{ existed: true, exists: false, removedCount: '2' }]);
    const request = { point, collection: 'things', target: 'back', keys: ['b', 'zz'] };
    const started = await server.asRoot('POST', '/v1/restores', request);
    expect(await settle(server, started.body.operation.id)).toMatchObject({ doneCount: '1' });
    const future = { point: { sequence: '999' }, collection: 'things', target: 'x' };
    const refused = await server.asRoot('POST', '/v1/restores', future);
    expect(refused.body.reason).toBe('SEQUENCE_IN_FUTURE');
    const never = { point, collection: 'never', target: 'x' };
    expect((await server.asRoot('POST', '/v1/restores', never)).body.reason).toBe(
      'COLLECTION_NOT_FOUND',
    );
  });
});
