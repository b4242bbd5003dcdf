/**
 * Every way to get at a hidden field, over every protocol. Two collections hold the same documents but for
 * their hidden values; a request is sent about both by the same token, and is either refused, naming the
 * field, or answered alike for both, without a hidden value in the answer.
 */
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import {
  call,
  change,
  comparable,
  compat,
  figure,
  joined,
  NAMES,
  openScene,
  operation,
  put,
  query,
  SECRETS,
  type Ask,
  type HiddenScene,
} from './hidden-scene.ts';

let scene: HiddenScene;

beforeAll(async () => {
  scene = await openScene();
});

afterAll(async () => {
  await scene[Symbol.asyncDispose]();
});

const watch = (target: object, rest: object = {}): Ask => {
  return (name) => ['POST', '/v1/watch', { targets: [{ collection: name, ...target }], ...rest }];
};
const where = (filter: object): Ask => query({ where: filter });
const salary = { salary: { $gt: 750000000000 } };

/** What names a hidden field, and the field as it is told. */
const REFUSED: Readonly<Record<string, readonly [ask: Ask, field: string]>> = {
  where: [where(salary), 'salary'],
  'where it is there': [where({ salary: { $exists: true } }), 'salary'],
  'where not': [where({ $not: { 'pay.base': 1 } }), 'pay.base'],
  'where below it': [where({ 'salary.x': 1 }), 'salary.x'],
  'where a parent is equal': [where({ pay: { bonus: 1 } }), 'pay'],
  'where one element': [where({ 'history.0.salary': 1 }), 'history.0.salary'],
  'where any element': [where({ history: { $elemMatch: { salary: 1 } } }), 'history.salary'],
  'where a hidden element': [where({ grades: { $contains: 'S3CRET' } }), 'grades'],
  sort: [query({ sort: [{ path: 'salary' }] }), 'salary'],
  'sort by a parent': [query({ sort: [{ path: 'pay' }] }), 'pay'],
  fields: [query({ fields: ['salary'] }), 'salary'],
  'excluded fields': [query({ excludedFields: ['pay.base'] }), 'pay.base'],
  count: [query({ where: salary }, { includeTotal: true, pageSize: 1 }), 'salary'],
  explain: [call('POST', ':explain', { query: { where: salary } }), 'salary'],
  sum: [figure('SUM', 'salary'), 'salary'],
  'minimum of a parent': [figure('MIN', 'pay'), 'pay'],
  distinct: [figure('DISTINCT', 'history'), 'history'],
  'count of it': [figure('COUNT', 'pay.base'), 'pay.base'],
  group: [figure('COUNT', '', { groupBy: ['salary'] }), 'salary'],
  'figures where': [figure('COUNT', '', { where: salary }), 'salary'],
  get: [call('GET', '/ann?fields=salary'), 'salary'],
  'batch get': [call('POST', ':batchGet', { keys: ['ann'], fields: ['salary'] }), 'salary'],
  list: [call('GET', '?fields=pay.base'), 'pay.base'],
  'join on': [query({ joins: [{ alias: 'x', from: 'other', on: 'salary' }] }), 'salary'],
  'join fields': [joined({ fields: ['salary'] }), 'salary'],
  'join where': [joined({}, { where: { 'e.salary': { $gt: 1 } } }), 'e.salary'],
  'join sort': [joined({}, { sort: [{ path: 'e.pay.base' }] }), 'e.pay.base'],
  put: [put({ name: 'x', salary: 1 }), 'salary'],
  'put below a parent': [put({ pay: { base: null } }), 'pay.base'],
  'put in an element': [put({ history: [{ salary: 1 }] }), 'history.0.salary'],
  insert: [call('POST', '', { body: { fields: { salary: 1 } } }), 'salary'],
  'a batch': [
    call('POST', ':batchSet', { writes: [{ body: { fields: { salary: 1 } } }] }),
    'salary',
  ],
  merge: [change({ merge: { salary: null } }), 'salary'],
  'merge paths': [change({ merge: { a: 1 }, mergePaths: ['salary'] }), 'salary'],
  'a parent replaced': [change({ merge: { pay: 5 } }), 'pay'],
  increment: [change({ transforms: [{ path: 'salary', increment: 1 }] }), 'salary'],
  maximum: [change({ transforms: [{ path: 'salary', maximum: 1 }] }), 'salary'],
  unset: [change({ transforms: [{ path: 'history.1.salary', unset: true }] }), 'history.1.salary'],
  'unset of a parent': [change({ transforms: [{ path: 'pay', unset: true }] }), 'pay'],
  'patch test': [operation({ op: 'test', path: '/salary', value: 700000100000 }), 'salary'],
  'patch test of a parent': [operation({ op: 'test', path: '/pay', value: {} }), 'pay'],
  'patch test of all': [operation({ op: 'test', path: '', value: {} }), ''],
  'patch copy': [operation({ op: 'copy', from: '/salary', path: '/x' }), 'salary'],
  'patch copy of a parent': [
    operation({ op: 'copy', from: '/history/0', path: '/x' }),
    'history.0',
  ],
  'patch move of a parent': [operation({ op: 'move', from: '/pay', path: '/x' }), 'pay'],
  'patch remove': [operation({ op: 'remove', path: '/salary' }), 'salary'],
  'patch remove of a parent': [operation({ op: 'remove', path: '/pay' }), 'pay'],
  'patch remove of an element': [operation({ op: 'remove', path: '/history/0' }), 'history'],
  'patch value': [operation({ op: 'add', path: '/pay', value: { base: 1 } }), 'pay.base'],
  'patch that brings one': [
    change({ merge: { o: { base: 1 } }, patch: [{ op: 'add', path: '/pay', value: { base: 2 } }] }),
    'pay.base',
  ],
  extends: [call('PUT', '/ann', { body: { fields: {}, extends: { salary: 'a.b' } } }), 'salary'],
  'delete where': [call('POST', ':deleteMatching', { where: salary }), 'salary'],
  transaction: [
    (name) => [
      'POST',
      '/v1/transactions',
      { compare: [{ collection: name, key: 'ann', where: salary }] },
    ],
    'salary',
  ],
  'watch where': [watch({ where: salary }), 'salary'],
  'watch fields': [watch({}, { fields: ['salary'] }), 'salary'],
  'watch of everything': [watch({ collection: '', where: { 'pay.base': 1 } }), 'pay.base'],
  'events where': [
    (name) => ['GET', `/v1/watch?collection=${name}&where=${encodeURIComponent('{"salary":1}')}`],
    'salary',
  ],
  index: [
    (name) => [
      ...(['POST', `/v1/collections/${name}/indexes`] as const),
      { fields: [{ path: 'salary' }], unique: true },
    ],
    'salary',
  ],
  schema: [
    (name) => ['PATCH', `/v1/collections/${name}`, { settings: { schema: { not: {} } } }],
    '',
  ],
  expiry: [
    (name) => [
      ...(['PATCH', `/v1/collections/${name}`] as const),
      { settings: { documentTtl: { field: 'salary', after: '9s' } } },
    ],
    'salary',
  ],
  'expiry by time': [where({ _expiresAt: { $exists: true } }), '_expiresAt'],
  validation: [
    (name) => ['POST', `/v1/collections/${name}:validate`, { body: { fields: { salary: 1 } } }],
    'salary',
  ],
};

describe('what names a hidden field', () => {
  it.each(Object.entries(REFUSED))('is refused: %s', async (_, [ask, field]) => {
    for (const name of NAMES) {
      const { status, body, text } = await scene.send(ask, name);
      const told = [status, body?.reason, body?.metadata?.field];
      expect(told, text).toEqual([403, 'SCOPE_MISSING', field]);
    }
  });

  const COMPAT: Readonly<Record<string, Ask>> = {
    'get where': compat('/get', { where: salary }),
    'get sort': compat('/get', { sort: ['salary'] }),
    'get fields': compat('/get', { fields: ['pay.base'] }),
    'get join': compat('/get', { joins: [{ x: { from: 'other', on: 'salary' } }] }),
    set: compat('/set', { data: { ann: { salary: 1 } } }),
    update: compat('/update', { data: { ann: { salary: 1 } } }),
    'update of a parent': compat('/update', { data: { ann: { pay: { base: 1 } } } }),
    'delete where': compat('/delete', { where: salary }),
    analytics: compat('/analytics', { metric: { type: 'MAX', field: 'salary' } }),
    'analytics where': compat('/analytics', { metric: { type: 'COUNT' }, where: salary }),
  };

  it.each(Object.entries(COMPAT))('is refused on the routes of MoltenDB: %s', async (_, ask) => {
    for (const name of NAMES) {
      const { status, text } = await scene.send(ask, name);
      expect([status, text]).toEqual([403, expect.stringContaining('hidden from this token')]);
    }
  });

  it('is refused with all the rest where documents are taken as they are', async () => {
    const { server, token } = scene;
    const { body } = await server.asRoot('POST', '/v1/snapshots', { wait: '30s' });
    const restore = { point: { sequence: '1' }, collection: 'employees', target: 'copy' };
    const answers = await Promise.all([
      server.request('POST', '/v1/restores', { token, body: restore }),
      server.request('GET', `/v1/snapshots/${String(body.snapshot.name)}:download`, { token }),
    ]);
    for (const { text } of answers) expect(text).toContain('SCOPE_MISSING');
  });
});

/** What names none, and would come to it all the same. */
const ANSWERED: Readonly<Record<string, Ask>> = {
  get: call('GET', '/ann'),
  'get as text': call('GET', '/ann?encoding=DOCUMENT_ENCODING_JSON'),
  'get of parents': call('GET', '/ann?fields=pay&fields=history&fields=grades'),
  'batch get': call('POST', ':batchGet', { keys: ['bob', 'ann', 'no'] }),
  list: call('GET', ''),
  query: where({ dept: 'd1' }),
  'query by an index': query({ where: { dept: 'd1' }, sort: [{ path: 'dept' }] }),
  'query without siblings': query({ excludedFields: ['pay.bonus', 'history.0.year'] }),
  'query for elements': where({ history: { $elemMatch: { year: 2021 } } }),
  'query for parents': where({ pay: { $exists: true }, history: { $size: 2 } }),
  explain: call('POST', ':explain', { query: { where: { dept: 'd1' } } }),
  'groups and figures': figure('MAX', 'pay.bonus', { groupBy: ['dept'] }),
  'count of parents': figure('COUNT', 'pay'),
  join: joined(),
  'join of parents': joined({ fields: ['pay', 'grades'] }),
  'join where': joined({}, { where: { 'e.name': 'Ann' } }),
  collection: (name) => ['GET', `/v1/collections/${name}`],
  indexes: (name) => ['GET', `/v1/collections/${name}/indexes`],
  'one index': (name) => ['GET', `/v1/collections/${name}/indexes/salary`],
  'routes of MoltenDB: get': compat('/get', { fields: ['pay', 'history'] }),
  'routes of MoltenDB: document': (name) => ['GET', `/collections/${name}/docs/ann`],
  'routes of MoltenDB: collection': (name) => ['GET', `/collections/${name}`],
  'routes of MoltenDB: analytics': compat('/analytics', { metric: { type: 'COUNT' } }),
  'routes of MoltenDB: stats': (name) => ['GET', `/stats?collection=${name}`],
};

describe('what does not name it', () => {
  it.each(Object.entries(ANSWERED))('is answered alike: %s', async (what, ask) => {
    const [one, other] = await Promise.all(NAMES.map((name) => scene.send(ask, name)));
    const [shown, same] = [one && comparable(one), other && comparable(other)];
    expect(shown).toMatch(what === 'one index' ? /^404 / : /^200 /);
    expect(shown).not.toMatch(SECRETS);
    expect(Buffer.from(one?.body?.document?.json ?? '', 'base64').toString()).not.toMatch(SECRETS);
    expect(shown).toBe(same);
  });

  it('is shown whole but for what is hidden', async () => {
    const { body } = await scene.send(call('GET', '/ann'), 'employees');
    expect(body.document.fields).toEqual({
      ...{ name: 'Ann', dept: 'd1', pay: { bonus: 3 }, grades: [null, 'b'] },
      history: [{ year: 2020 }, { year: 2021 }],
    });
  });

  it('is told in the same order, page by page', async () => {
    const walk = async (name: (typeof NAMES)[number]): Promise<readonly string[]> => {
      const keys: string[] = [];
      for (let pageToken = ''; keys.length === 0 || pageToken !== '';) {
        const { body } = await scene.send(
          query({ sort: [{ path: 'dept' }] }, { pageSize: 1, pageToken }),
          name,
        );
        keys.push(String(body.documents[0].key));
        pageToken = String(body.nextPageToken ?? '');
      }
      return keys;
    };
    expect(await walk('employees')).toEqual(await walk('workers'));
  });

  it('does not take a page token that was made by the order of a hidden field', async () => {
    const { server } = scene;
    const body = { query: { sort: [{ path: 'salary' }] }, pageSize: 1 };
    const path = '/v1/collections/employees/documents:query';
    const { nextPageToken: pageToken } = (await server.asRoot('POST', path, body)).body;
    const resumed = await scene.send(query(body.query, { pageSize: 1, pageToken }), 'employees');
    expect(resumed.body.reason).toBe('SCOPE_MISSING');
    const another = await scene.send(query({}, { pageSize: 1, pageToken }), 'employees');
    expect(another.body.reason).toBe('PAGE_TOKEN_INVALID');
  });

  it('ends pages by what is shown: a large hidden value leaves their size as it is', async () => {
    await using other = await openScene();
    const large = 'S3CRET'.repeat(100_000);
    for (let at = 0; at < 40; at++) {
      const path = `/v1/collections/employees/documents/z${String(at)}`;
      await other.server.asRoot('PUT', path, { body: { fields: { salary: large } } });
    }
    const { body } = await other.send(query({}, { pageSize: 100 }), 'employees');
    expect([body.documents.length, body.nextPageToken ?? '']).toEqual([43, '']);
  });

  it('holds of the past, of which a field was hidden later', async () => {
    const { body } = await scene.server.asRoot('GET', '/v1/collections/employees/documents/ann');
    const path = `/ann?readSequence=${String(body.document.sequence)}`;
    const { status, text } = await scene.send(call('GET', path), 'employees');
    expect([status, SECRETS.test(text)]).toEqual([200, false]);
  });

  it.each(['connect', 'grpc'] as const)('holds over %s', async (protocol) => {
    const { server, token } = scene;
    const create = protocol === 'grpc' ? createGrpcTransport : createConnectTransport;
    const transport = create({
      ...{ baseUrl: server.url, httpVersion: '2', useBinaryFormat: true },
      interceptors: [
        (next) => (request) => {
          request.header.set('authorization', `Bearer ${token}`);
          return next(request);
        },
      ],
    });
    const client = createClient(DocumentService, transport);
    const { document } = await client.getDocument({ collection: 'employees', key: 'ann' });
    expect(document?.content.value).toMatchObject({ name: 'Ann', pay: { bonus: 3 } });
    expect(JSON.stringify(document?.content.value)).not.toMatch(SECRETS);
    const sorted = client.queryDocuments({
      collection: 'employees',
      query: { sort: [{ path: 'salary' }] },
    });
    await expect(sorted).rejects.toThrow(/hidden from this token/);
  });
});
