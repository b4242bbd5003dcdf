/** What calls leave behind, over REST and Connect, and what they must never leave behind. */
import { readFileSync } from 'node:fs';

import { clone, create, getOption, setExtension, type DescMethod } from '@bufbuild/protobuf';
import {
  MethodDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel,
} from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';

import { AdminService } from '../../../gen/molten/v1/admin_pb.ts';
import { ApiKeyService } from '../../../gen/molten/v1/api_keys_pb.ts';
import { AuditResult, AuditService } from '../../../gen/molten/v1/audit_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { CollectionService } from '../../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { OperationService } from '../../../gen/molten/v1/operations_pb.ts';
import { audit as auditRule, AuditRuleSchema } from '../../../gen/molten/v1/options_pb.ts';
import { SnapshotService } from '../../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { TokenService } from '../../../gen/molten/v1/tokens_pb.ts';
import { UserService } from '../../../gen/molten/v1/users_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import { createMoltenClient, type MoltenClient } from '../../../src/client/index.ts';
import { AUDIT, keyOf } from '../../../src/domain/audit/record.ts';
import { compileRule } from '../../../src/protocol/interceptors/audit.ts';
import { openRunStore, runStorage } from '../../support/run-storage.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { until } from './open-audit.ts';

const SERVICES = [
  ...[AuthService, CollectionService, SnapshotService, SystemService, AuditService],
  ...[DocumentService, OperationService, WatchService, UserService, TokenService, ApiKeyService],
  ...[AdminService],
];

interface RecordJson {
  readonly number: string;
  readonly actor?: string;
  readonly action: string;
  readonly resource?: string;
  readonly result: string;
  readonly reason?: string;
  readonly address: string;
  readonly requestId: string;
  readonly credentialId?: string;
  readonly details?: Readonly<Record<string, string>>;
}

async function list(server: TestServer, query = ''): Promise<readonly RecordJson[]> {
  const { status, body } = await server.asRoot('GET', `/v1/auditRecords${query}`);
  expect(status).toBe(200);
  return (body.records ?? []) as readonly RecordJson[];
}

/** Waits for the one record of a query: what is refused is noted with a delay. */
async function one(server: TestServer, query: string): Promise<RecordJson> {
  return await until(async () => (await list(server, query))[0]);
}

async function connect(server: TestServer): Promise<MoltenClient> {
  const token = await server.rootToken();
  return createMoltenClient({ url: server.url, token: () => token });
}

describe('an action', () => {
  it('is recorded before its caller hears of it, with who, what, where from and how it ended', async () => {
    await using server = await startTestServer();
    const put = '/v1/collections/things/documents/a';
    await server.asRoot('PUT', put, { body: { fields: { n: 1 } } });
    const headers = { 'x-request-id': 'the-request' };
    const body = { clientId: 'a-client', scopes: ['read:things:*', 'write:things:*'] };
    const token = await server.rootToken();
    const issued = await server.request('POST', '/v1/tokens', { body, token, headers });
    const { tokenId } = issued.body.principal as { tokenId: string };
    expect((await list(server, '?pageSize=1'))[0]).toMatchObject({
      ...{
        actor: 'root',
        action: 'token.delegate',
        resource: 'a-client',
        requestId: 'the-request',
      },
      ...{ result: 'AUDIT_RESULT_SUCCESS', address: '127.0.0.1' },
      details: { scopes: 'read:things:* write:things:*', tokenId },
    });
    const snapshot = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
    const { name } = snapshot.body.snapshot as { name: string };
    const delegated = String(issued.body.token);
    const refreshed = await server.request('POST', '/v1/tokens:refresh', {
      body: {},
      token: delegated,
    });
    await server.asRoot('GET', `/v1/snapshots/${name}:download`);
    const { currentSequence } = (
      await server.asRoot('POST', '/v1/restores:preview', { point: { sequence: '0' } })
    ).body as { currentSequence: string };
    const point = { sequence: currentSequence };
    await server.asRoot('POST', '/v1/restores', { point, collection: 'things', target: 'back' });
    await server.asRoot('DELETE', `/v1/snapshots/${name}`);
    await server.asRoot('DELETE', '/v1/collections/things');
    await server.asRoot('DELETE', '/v1/tokens/another');
    await server.request('DELETE', '/v1/sessions/current', { token: String(refreshed.body.token) });
    const records = await list(server, '?order=AUDIT_ORDER_OLDEST_FIRST');
    expect(records.map(({ actor, action, resource = '' }) => [actor, action, resource])).toEqual([
      ['root', 'session.login', 'root'],
      ['root', 'token.delegate', 'a-client'],
      ['root', 'snapshot.create', ''],
      ['root', 'token.refresh', ''],
      ['root', 'snapshot.download', name],
      ['root', 'snapshot.restore', 'things'],
      ['root', 'snapshot.delete', name],
      ['root', 'collection.drop', 'things'],
      ['root', 'token.revoke', 'another'],
      ['root', 'session.logout', ''],
    ]);
    expect(records[0]?.details?.['tokenId']).toBe(records[1]?.credentialId);
    expect(records[5]?.details).toEqual({ target: 'back' });
  });

  it('is recorded when it fails, and a wrong password as a denied login of that user', async () => {
    await using server = await startTestServer();
    await server.asRoot('DELETE', '/v1/snapshots/20260131T235959000Z-0000000000000042');
    expect(await one(server, '?result=AUDIT_RESULT_FAILURE')).toMatchObject({
      ...{ action: 'snapshot.delete', reason: 'SNAPSHOT_NOT_FOUND', actor: 'root' },
      resource: '20260131T235959000Z-0000000000000042',
    });
    const body = { username: 'root', password: 'not the password' };
    await server.request('POST', '/v1/sessions', { body });
    expect(await one(server, '?result=AUDIT_RESULT_DENIED')).toMatchObject({
      ...{ action: 'session.login', actor: 'root', reason: 'CREDENTIAL_INVALID' },
    });
  });

  it('is recorded in advance when it holds up the store', async () => {
    await using server = await startTestServer({ encryptionKey: 'correct horse battery staple' });
    const { text } = await server.asRoot('POST', '/v1/dataKey:rotate', {});
    // A store in a database has no such key: what was recorded in advance has failed then.
    const isRefused = runStorage(server.dbPath) !== undefined;
    expect(text.includes('FEATURE_DISABLED'), text).toBe(isRefused);
    const results = [...(isRefused ? ['AUDIT_RESULT_FAILURE'] : []), 'AUDIT_RESULT_SUCCESS'];
    const records = await until(async () => {
      const found = await list(server, '?action=dataKey.rotate');
      return found.length === results.length ? found : undefined;
    });
    expect(records.map(({ result }) => result)).toEqual(results);
  });
});

describe('a refusal', () => {
  it('is noted with the RPC, the caller as far as it is known, and the reason, once', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['read:things:*'], 'narrow');
    await server.request('GET', '/v1/status', { token });
    await server.request('POST', '/v1/snapshots', { token, body: {} });
    await server.request('GET', '/v1/status');
    await server.request('GET', '/v1/status', { token: 'no-token' });
    await server.request('GET', '/v1/collections/others/documents/a', { token });
    const records = await until(async () => {
      const found = await list(server, '?action=access.denied');
      return found.length >= 5 ? found : undefined;
    });
    expect(
      records.map(({ actor = '', resource, reason }) => [actor, resource, reason]).sort(),
    ).toEqual([
      ['', 'molten.v1.SystemService/GetStatus', 'CREDENTIAL_INVALID'],
      ['', 'molten.v1.SystemService/GetStatus', 'CREDENTIAL_MISSING'],
      ['root', 'molten.v1.DocumentService/GetDocument', 'SCOPE_MISSING'],
      ['root', 'molten.v1.SnapshotService/CreateSnapshot', 'SCOPE_MISSING'],
      ['root', 'molten.v1.SystemService/GetStatus', 'SCOPE_MISSING'],
    ]);
  });

  it('in a flood becomes few records', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 50, windowMs: 60_000 } });
    const client = await connect(server);
    await Promise.all(
      Array.from({ length: 500 }, () => server.request('GET', '/v1/status').catch(() => undefined)),
    );
    await server.close();
    await using store = await openRunStore(server.dbPath);
    const collection = await store.findCollection(AUDIT);
    expect(collection?.documents).toBeGreaterThan(1);
    expect(collection?.documents).toBeLessThan(15);
    expect(client).toBeDefined();
  });
});

describe('no record', () => {
  it('holds a password, a token or a document', async () => {
    using directory = createTemporaryDirectory();
    const file = `${directory.path}/audit.log`;
    await using server = await startTestServer({ audit: { retainMs: 0, file } });
    const token = await server.rootToken();
    const narrow = await server.tokenWith(['read:things:*']);
    const wrong = 'a wrong password of somebody';
    await server.request('POST', '/v1/sessions', { body: { ...ROOT, password: wrong } });
    await server.request('GET', '/v1/status', { token: `${narrow}x` });
    const refreshed = await server.request('POST', '/v1/tokens:refresh', {
      body: {},
      token: narrow,
    });
    const document = { body: { fields: { secret: 'what a document says' } } };
    await server.asRoot('PUT', '/v1/collections/things/documents/a', document);
    await server.request('PUT', '/v1/collections/things/documents/a', {
      body: document,
      token: narrow,
    });
    await server.asRoot('DELETE', '/v1/collections/things');
    await one(server, '?result=AUDIT_RESULT_DENIED&action=session.login');
    await one(server, '?action=access.denied');
    const records = JSON.stringify(await list(server, '?pageSize=1000'));
    await server.close();
    const texts = [records, readFileSync(file, 'utf8')];
    const secrets = [
      ROOT.password,
      wrong,
      token,
      narrow,
      String(refreshed.body.token),
      'what a document',
    ];
    for (const text of texts) {
      expect(text).toContain('session.login');
      for (const secret of secrets) {
        expect(text).not.toContain(secret);
        // Nor a part of a token that others could use.
        expect(text).not.toContain(secret.split('.').at(-1));
      }
    }
  });

  it('can be asked for of a field that is declared a secret, or that there is not', () => {
    for (const resourceField of ['password', 'nothing']) {
      const proto = clone(MethodDescriptorProtoSchema, AuthService.method.login.proto);
      const rule = create(AuditRuleSchema, { action: 'x.y', resourceField });
      setExtension(proto.options!, auditRule, rule);
      const method: DescMethod = { ...AuthService.method.login, proto };
      expect(() => compileRule(method)).toThrow(resourceField);
    }
  });
});

describe('the contract', () => {
  it('declares what is recorded, and each declaration can be followed', () => {
    const declared = SERVICES.flatMap(({ methods }) => methods).flatMap((method) => {
      if (compileRule(method) === undefined) return [];
      return [`${method.name}: ${getOption(method, auditRule).action}`];
    });
    expect(declared).toContain('DropCollection: collection.drop');
    // Whatever changes something is recorded, but for documents and these.
    const changing = SERVICES.flatMap(({ methods }) => methods).filter(
      ({ idempotency, parent }) =>
        idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS &&
        parent !== DocumentService &&
        parent !== WatchService,
    );
    const silent = changing.filter((method) => compileRule(method) === undefined);
    expect(silent.map(({ name }) => name).sort()).toEqual([
      ...['BeginDeviceSignOn', 'BeginSignOn', 'CancelOperation', 'Flush', 'UploadSnapshotPart'],
      'VerifySnapshot',
    ]);
  });
});

describe('the audit log', () => {
  it('is listed, followed and verified over Connect, and survives a restart', async () => {
    using directory = createTemporaryDirectory();
    {
      await using server = await startTestServer({ dbPath: directory.path });
      const client = await connect(server);
      const leaving = new AbortController();
      const seen: bigint[] = [];
      const { signal } = leaving;
      const following = (async () => {
        const stream = client.audit.streamAuditRecords(
          { afterNumber: 0n },
          { signal, timeoutMs: 0 },
        );
        for await (const { record } of stream) seen.push(record?.number ?? 0n);
      })().catch(() => undefined);
      for (let at = 0; at < 5; at++) await client.auth.revokeToken({ tokenId: `t${String(at)}` });
      await until(() => (seen.length === 6 ? true : undefined));
      expect(seen).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
      leaving.abort();
      await following;
      const { records, nextPageToken } = await client.audit.listAuditRecords({
        ...{ action: 'token.*', result: AuditResult.SUCCESS, pageSize: 2 },
      });
      expect(records.map(({ resource }) => resource)).toEqual(['t4', 't3']);
      expect(nextPageToken).not.toBe('');
    }
    await using store = await openRunStore(directory.path);
    await store.close();
    await using server = await startTestServer({ dbPath: directory.path });
    const client = await connect(server);
    expect(await client.audit.verifyAuditLog({})).toMatchObject({
      ...{ sound: true, checkedCount: 7n, firstNumber: 1n, lastNumber: 7n },
    });
  });

  it('streams over REST and does not hold up the end of the server', async () => {
    await using server = await startTestServer();
    const token = await server.rootToken();
    const response = await fetch(`${server.url}/v1/auditRecords:stream?afterNumber=0`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const reader = response.body!.getReader();
    const { value } = await reader.read();
    const line = JSON.parse(Buffer.from(value).toString().split('\n')[0] ?? '') as object;
    expect(line).toMatchObject({ record: { action: 'session.login', actor: 'root' } });
    await server.close();
    await reader.cancel().catch(() => undefined);
  });

  it('names the first broken record over REST', async () => {
    using directory = createTemporaryDirectory();
    {
      await using server = await startTestServer({ dbPath: directory.path });
      for (let at = 0; at < 5; at++) await server.asRoot('DELETE', `/v1/tokens/t${String(at)}`);
    }
    {
      await using store = await openRunStore(directory.path);
      await store.transact({ durability: 'sync' }, (transaction) => {
        transaction.delete({ collection: AUDIT, key: keyOf(3) });
      });
    }
    await using server = await startTestServer({ dbPath: directory.path });
    const { body } = await server.asRoot('POST', '/v1/auditRecords:verify', {});
    expect(body.sound ?? false).toBe(false);
    expect(body.fault).toMatchObject({ number: '3', kind: 'AUDIT_FAULT_KIND_MISSING' });
  });

  it('is for holders of its scope, and part of no list, watch or query', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['audit:*:*'], 'auditor');
    const others = await server.tokenWith(['admin:*:*', 'read:*:*'], 'operator');
    const path = '/v1/auditRecords';
    expect((await server.request('GET', path, { token })).status).toBe(200);
    expect((await server.request('GET', path, { token: others })).status).toBe(403);
    expect((await server.request('GET', path)).status).toBe(401);
    const { body } = await server.asRoot('GET', '/v1/collections');
    expect(body.collections ?? []).toEqual([]);
    const read = await server.asRoot('GET', `/v1/collections/${AUDIT}/documents/${keyOf(1)}`);
    expect(read.status).toBe(400);
    const dropped = await server.asRoot('DELETE', `/v1/collections/${AUDIT}`);
    expect(dropped.status).toBe(400);
  });
});
