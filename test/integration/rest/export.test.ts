import { describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';

interface Line {
  readonly documents?: readonly { readonly key: string }[];
  readonly readSequence: string;
}

async function exported(
  server: TestServer,
  { token, body = {} }: { readonly token?: string; readonly body?: object } = {},
): Promise<{ readonly keys: readonly string[]; readonly sequences: ReadonlySet<string> }> {
  const answer = await server.request('POST', '/v1/collections/c/documents:export', {
    ...{ token: token ?? (await server.rootToken()), body },
  });
  expect(answer.status).toBe(200);
  const lines = answer.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  const keys = lines.flatMap(({ documents = [] }) => documents.map(({ key }) => key));
  return { keys, sequences: new Set(lines.map(({ readSequence }) => readSequence)) };
}

async function fill(server: TestServer, count: number): Promise<void> {
  const path = '/v1/collections/c/documents:batchSet';
  const all = Array.from({ length: count }, (_, n) => ({
    key: `k${String(n).padStart(4, '0')}`,
    body: { fields: { n } },
  }));
  for (let from = 0; from < count; from += 1000) {
    await server.asRoot('POST', path, { writes: all.slice(from, from + 1000) });
  }
}

async function recordsOf(server: TestServer): Promise<readonly (readonly string[])[]> {
  const { body } = await server.asRoot('GET', '/v1/auditRecords?action=documents.export');
  const records = body.records as readonly { readonly result: string; readonly resource: string }[];
  return records.map(({ result, resource }) => [result, resource]).sort();
}

describe('an export', () => {
  it('is every match of one state, in as many messages as it takes', async () => {
    await using server = await startTestServer();
    await fill(server, 2500);
    const all = await exported(server);
    expect(all.keys).toHaveLength(2500);
    expect(all.keys).toEqual([...all.keys].sort());
    expect(all.sequences.size).toBe(1);
    const [sequence = ''] = all.sequences;
    await server.asRoot('DELETE', '/v1/collections/c/documents/k0000');
    expect((await exported(server)).keys).toHaveLength(2499);
    expect((await exported(server, { body: { readSequence: sequence } })).keys).toEqual(all.keys);
    const some = await exported(server, { body: { query: { where: { n: { $gte: 2400 } } } } });
    expect(some.keys).toHaveLength(100);
    const none = await exported(server, { body: { query: { where: { n: -1 } } } });
    expect([none.keys, none.sequences.size]).toEqual([[], 1]);
  });

  it('is of what the scopes cover, without what is hidden, and recorded', async () => {
    await using server = await startTestServer();
    await fill(server, 3);
    const token = await server.tokenWith(['read:c:k0001', 'read:c:k0002', 'hide:c:n']);
    const { keys } = await exported(server, { token });
    expect(keys).toEqual(['k0001', 'k0002']);
    const path = '/v1/collections/c/documents:export';
    const asked = { query: { where: { n: 1 } } };
    const hidden = await server.request('POST', path, { token, body: asked });
    expect([hidden.status, hidden.body.reason]).toEqual([403, 'SCOPE_MISSING']);
    const whole = await server.request('POST', path, { token, body: {} });
    expect(whole.text).not.toContain('"n"');
    // What was refused is recorded a moment later.
    await expect
      .poll(() => recordsOf(server), { timeout: 10_000 })
      .toEqual([
        ['AUDIT_RESULT_DENIED', 'c'],
        ['AUDIT_RESULT_SUCCESS', 'c'],
        ['AUDIT_RESULT_SUCCESS', 'c'],
      ]);
  });
});
