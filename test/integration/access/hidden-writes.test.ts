/** What becomes of hidden values when documents are written by who cannot see them. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import {
  call,
  change,
  compat,
  DOCUMENTS,
  NAMES,
  openScene,
  operation,
  put,
  SECRETS,
  type Ask,
  type HiddenScene,
  type Name,
} from './hidden-scene.ts';

/** Writes, and what they lead to but for hidden values. */
const VISIBLE = {
  ...{ name: 'Ann', dept: 'd1', pay: { bonus: 3 }, grades: [null, 'b'] },
  history: [{ year: 2020 }, { year: 2021 }],
};
const WRITES: Readonly<Record<string, readonly [write: Ask, visible: object]>> = {
  'what was read': [put(VISIBLE), VISIBLE],
  'a put of a part': [
    put({ name: 'Eve', history: VISIBLE.history, grades: [null, 'x'] }),
    { name: 'Eve', pay: {}, history: VISIBLE.history, grades: [null, 'x'] },
  ],
  'a put of changed elements': [
    put({ ...VISIBLE, history: [{ year: 2021 }, { year: 2020 }, { year: 2022 }] }),
    { ...VISIBLE, history: [{ year: 2021 }, { year: 2020 }, { year: 2022 }] },
  ],
  'a batch': [
    call('POST', ':batchSet', { writes: [{ key: 'ann', body: { fields: VISIBLE } }] }),
    VISIBLE,
  ],
  'a merge': [
    change({ merge: { pay: { bonus: 9 }, dept: null } }),
    { ...VISIBLE, dept: undefined, pay: { bonus: 9 } },
  ],
  'a merge of all': [change({ merge: VISIBLE, mergePaths: ['*'] }), VISIBLE],
  'merge paths': [
    change({ merge: { pay: { bonus: 4 } }, mergePaths: ['pay', 'dept'] }),
    { ...VISIBLE, dept: undefined, pay: { bonus: 4 } },
  ],
  'a patch of a parent': [
    operation({ op: 'replace', path: '/pay', value: { extra: true } }),
    { ...VISIBLE, pay: { extra: true } },
  ],
  'a patch that adds an element': [
    operation({ op: 'add', path: '/history/-', value: { year: 2022 } }),
    { ...VISIBLE, history: [...VISIBLE.history, { year: 2022 }] },
  ],
  transforms: [
    change({
      transforms: [
        { path: 'pay.bonus', increment: 2 },
        { path: 'dept', unset: true },
      ],
    }),
    { ...VISIBLE, dept: undefined, pay: { bonus: 5 } },
  ],
  'a missing element that is there': [
    change({ transforms: [{ path: 'history', appendMissing: [{ year: 2020 }] }] }),
    VISIBLE,
  ],
  'a transaction': [
    (name) => {
      const body = { fields: { ...VISIBLE, name: 'T' } };
      return ['POST', '/v1/transactions', { then: [{ collection: name, key: 'ann', set: body }] }];
    },
    { ...VISIBLE, name: 'T' },
  ],
  'the routes of MoltenDB: set': [compat('/set', { data: { ann: VISIBLE } }), VISIBLE],
  'the routes of MoltenDB: update': [
    compat('/update', { data: { ann: { pay: { bonus: 8 } } } }),
    { ...VISIBLE, pay: { bonus: 8 } },
  ],
};

/** Every hidden value of ann, in an order of their own. */
const secretsOf = (body: unknown): readonly string[] =>
  [...JSON.stringify(body).matchAll(/7\d{11}|S3CRET\w*/g)].map(([value]) => value).sort();

let scene: HiddenScene;

beforeAll(async () => {
  scene = await openScene();
});

beforeEach(async () => {
  await scene.reset();
});

afterAll(async () => {
  await scene[Symbol.asyncDispose]();
});

describe('a write by who cannot see all', () => {
  it.each(Object.entries(WRITES))('loses nothing hidden: %s', async (_, [write, visible]) => {
    for (const name of NAMES) {
      const before = await scene.stored(name);
      const answer = await scene.send(write, name);
      expect(answer.status, answer.text).toBe(200);
      const shown = await scene.send(call('GET', '/ann'), name);
      expect(shown.body.document.fields).toEqual(JSON.parse(JSON.stringify(visible)));
      expect(secretsOf(await scene.stored(name))).toEqual(secretsOf(before));
    }
  });

  it('shows nothing hidden of what it returns', async () => {
    const write = change({ merge: { name: 'Eve' } }, { returnDocument: true });
    const { body, text } = await scene.send(write, 'employees');
    expect(body.document.fields).toEqual({ ...VISIBLE, name: 'Eve' });
    expect(text).not.toMatch(SECRETS);
  });

  it('keeps hidden values with the elements they belong to', async () => {
    const history = [{ year: 2021 }, { year: 1999 }, { year: 2020 }];
    await scene.send(put({ ...VISIBLE, history }), 'employees');
    expect((await scene.stored('employees'))['history']).toEqual([
      ...[{ year: 2021 }, { year: 1999 }, { year: 2020, salary: 700000300000 }],
    ]);
  });

  it('keeps every digit of a hidden number', async () => {
    const { server } = scene;
    const path = '/v1/collections/employees/documents/ann';
    const json = Buffer.from('{"salary":71234567890123456789,"n":1.50}').toString('base64');
    await server.asRoot('PUT', path, { body: { json } });
    const other = Buffer.from('{"n":2.50}').toString('base64');
    await scene.send(call('PUT', '/ann', { body: { json: other } }), 'employees');
    const read = await server.asRoot('GET', `${path}?encoding=DOCUMENT_ENCODING_JSON`);
    expect(Buffer.from(read.body.document.json, 'base64').toString()).toBe(
      '{"n":2.50,"salary":71234567890123456789}',
    );
  });

  it('begins without hidden fields in a new document, and may delete a whole one', async () => {
    await scene.send(call('DELETE', '/ann'), 'employees');
    await scene.send(put({ name: 'New' }), 'employees');
    expect(await scene.stored('employees')).toEqual({ name: 'New' });
    const insert = call('POST', '', { key: 'bob', body: { fields: { name: 'x' } } });
    expect((await scene.send(insert, 'employees')).body.reason).toBe('DOCUMENT_EXISTS');
  });

  it('copies nothing hidden from another document', async () => {
    const body = { fields: {}, extends: { e: 'employees.ann' } };
    const path = '/v1/collections/notes/documents/n';
    const { server, token } = scene;
    expect((await server.request('PUT', path, { token, body: { body } })).status).toBe(200);
    const { text } = await server.asRoot('GET', path);
    expect(text).toContain('"name":"Ann"');
    expect(text).not.toMatch(SECRETS);
  });

  it('is bounded by what it writes, so that the bound does not measure what is hidden', async () => {
    const { server } = scene;
    const path = '/v1/collections/employees/documents/ann';
    const large = { salary: 'S3CRET'.repeat(150_000) };
    await server.asRoot('PUT', path, { body: { fields: large } });
    const fields = { text: 'x'.repeat(1024 * 1024 - 20) };
    expect((await scene.send(put(fields), 'employees')).status).toBe(200);
    expect(await scene.stored('employees')).toEqual({ ...fields, ...large });
    const tooLarge = put({ text: 'x'.repeat(1024 * 1024) });
    expect((await scene.send(tooLarge, 'employees')).body.reason).toBe('DOCUMENT_TOO_LARGE');
  });
});

describe('a schema', () => {
  const withSchema = async (scene: HiddenScene, schema: object): Promise<void> => {
    for (const name of NAMES) {
      const settings = { settings: { schema } };
      const answer = await scene.server.asRoot('PATCH', `/v1/collections/${name}`, settings);
      expect(answer.status).toBe(200);
    }
  };

  it('does not blame a writer for values that it cannot see, nor tell of them', async () => {
    await using scene = await openScene();
    await withSchema(scene, {
      required: ['salary'],
      properties: {
        salary: { type: 'number', maximum: 750000000000 },
        pay: { properties: { bonus: {} }, additionalProperties: false },
        name: { type: 'string' },
      },
    });
    for (const key of Object.keys(DOCUMENTS.employees)) {
      const rename: Ask = call('PATCH', `/${key}`, { change: { merge: { name: 'Z' } } });
      for (const name of NAMES) expect((await scene.send(rename, name)).status).toBe(200);
      const wrong: Ask = call('PATCH', `/${key}`, { change: { merge: { name: 1 } } });
      const answers = await Promise.all(NAMES.map((name) => scene.send(wrong, name)));
      for (const { body, text } of answers) {
        expect(body.reason).toBe('SCHEMA_VIOLATION');
        expect(body.violations).toEqual([{ field: '/name', description: 'must be string' }]);
        expect(text).not.toMatch(SECRETS);
      }
    }
  });

  it('binds new documents whole', async () => {
    await using scene = await openScene();
    await withSchema(scene, { required: ['salary'] });
    const insert = call('POST', '', { key: 'new', body: { fields: { name: 'x' } } });
    expect((await scene.send(insert, 'employees')).body.reason).toBe('SCHEMA_VIOLATION');
  });
});

describe('a unique index over a hidden field', () => {
  it('is not there for who cannot see it, and says no value', async () => {
    const { server, token } = scene;
    const path = '/v1/collections/employees';
    const index = { index: 'u', fields: [{ path: 'dept' }, { path: 'salary' }], unique: true };
    await server.asRoot('POST', `${path}/indexes`, index);
    const names = await server.request('GET', `${path}/indexes`, { token });
    expect(names.body.indexes).toHaveLength(1);
    const dropped = await server.request('DELETE', `${path}/indexes/u`, { token });
    expect(dropped.body.reason).toBe('INDEX_NOT_FOUND');
  });
});

describe('rights on one of two collections', () => {
  it('hide there and nowhere else', async () => {
    const { server } = scene;
    const token = await server.tokenWith(['read:*:*', 'hide:employees:salary']);
    const asked = async (name: Name): Promise<string> =>
      (await server.request('GET', `/v1/collections/${name}/documents/ann`, { token })).text;
    expect(await asked('employees')).not.toContain('"salary":700000100000');
    expect(await asked('workers')).toContain('"salary":799999900000');
    const everywhere = await server.tokenWith(['*:*:*', 'hide:*:salary']);
    for (const name of NAMES) {
      const path = `/v1/collections/${name}/documents/ann`;
      const { body } = await server.request('GET', path, { token: everywhere });
      expect(body.document.fields).not.toHaveProperty('salary');
      expect(body.document.fields.history[0].salary).toBeGreaterThan(0);
    }
  });
});
