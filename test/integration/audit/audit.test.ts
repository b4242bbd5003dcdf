import { describe, expect, it } from 'vitest';

import type { AuditRecord } from '../../../src/domain/audit/record.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { entry, listAll, openStore, recordMany, until, verifyAll } from './open-audit.ts';

const denied = { action: 'access.denied', result: 'denied', reason: 'SCOPE_MISSING' } as const;

describe('what is noted', () => {
  it('is one record with a count, however often it is the same', async () => {
    await using store = await openStore();
    const audit = await store.open();
    for (let at = 0; at < 10_000; at++) {
      audit.note({ ...denied, actor: 'eve', address: '10.0.0.1', resource: 'X/Y' });
    }
    audit.note({ ...denied, actor: 'adam', address: '10.0.0.1', resource: 'X/Y' });
    const records = await until(async () => {
      const { records: found } = await audit.list({});
      return found.length === 0 ? undefined : found;
    });
    expect(records.map(({ actor, details }) => [actor, details])).toEqual([
      ['adam', {}],
      ['eve', { count: '10000' }],
    ]);
  });

  it('is blurred when one address has too many different ones', async () => {
    await using store = await openStore();
    const audit = await store.open();
    for (let at = 0; at < 5000; at++) {
      audit.note({ ...denied, actor: `eve${String(at)}`, address: '10.0.0.1', resource: 'X/Y' });
    }
    await audit[Symbol.asyncDispose]();
    const records = await listAll(await store.open());
    expect(records).toHaveLength(33);
    expect(records.at(-1)).toMatchObject({ actor: '', resource: '*' });
    expect(records.at(-1)?.details).toEqual({ count: '4968', various: 'true' });
  });

  it('is counted when there is no room, and the count is recorded when there is again', async () => {
    await using store = await openStore();
    const audit = await store.open();
    for (let at = 0; at < 5000; at++) {
      audit.note({ ...denied, address: `10.0.${String(at >> 8)}.${String(at & 255)}` });
    }
    const [dropped] = await until(async () => {
      const { records } = await audit.list({ action: 'audit.dropped' });
      return records.length === 0 ? undefined : records;
    });
    expect(dropped?.details).toEqual({ count: String(5000 - 4096) });
    expect(await verifyAll(audit)).toMatchObject({ checked: 4097, fault: undefined });
  });

  it('waits for nothing and is written when the log is closed', async () => {
    await using store = await openStore();
    const audit = await store.open();
    audit.note(denied);
    await audit[Symbol.asyncDispose]();
    await expect(audit.record(entry('late'))).rejects.toThrow('closed');
    expect(await listAll(await store.open())).toHaveLength(1);
  });
});

describe('a list', () => {
  it('is narrowed by time, actor, action, result and resource, and paged both ways', async () => {
    await using store = await openStore();
    const audit = await store.open();
    const start = store.clock.now();
    for (let at = 0; at < 60; at++) {
      store.clock.advance(1000);
      await audit.record({
        action: at % 2 === 0 ? 'token.revoke' : 'session.login',
        result: at % 3 === 0 ? 'denied' : 'success',
        ...{ actor: `a${String(at % 5)}`, resource: `r${String(at)}` },
      });
    }
    const all = await listAll(audit);
    const cases: readonly [Parameters<typeof audit.list>[0], (record: AuditRecord) => boolean][] = [
      [{ actor: 'a1' }, ({ actor }) => actor === 'a1'],
      [{ action: 'token.*' }, ({ action }) => action === 'token.revoke'],
      [{ action: 'token' }, () => false],
      [
        { result: 'denied', actor: 'a0' },
        ({ result, actor }) => result === 'denied' && actor === 'a0',
      ],
      [{ resource: 'r17' }, ({ resource }) => resource === 'r17'],
      [
        { from: start + 10_000, to: start + 20_000 },
        ({ time }) => time >= start + 10_000 && time < start + 20_000,
      ],
      [{ from: start + 100_000 }, () => false],
      [{ to: start }, () => false],
    ];
    for (const [filter, isWanted] of cases) {
      const wanted = all.filter(isWanted);
      const page = { ...filter, pageSize: 7 };
      expect(await pagesOf(audit, { ...page, order: 'oldest' })).toEqual(wanted);
      expect(await pagesOf(audit, page)).toEqual([...wanted].reverse());
    }
  });

  it('looks at a bounded part for one page', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 12_000);
    const first = await audit.list({ resource: 'r1' });
    expect(first.records).toEqual([]);
    const second = await audit.list({ resource: 'r1', pageToken: first.nextPageToken });
    expect(second.records.map(({ number }) => number)).toEqual([1]);
    expect(second.nextPageToken).toBe('');
  });

  it('takes a page token only for what it was made for', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 3);
    const { nextPageToken: pageToken } = await audit.list({ pageSize: 1 });
    const refused = await audit
      .list({ pageSize: 1, actor: 'root', pageToken })
      .catch((error: unknown) => error);
    expect(hasReason(refused, 'PAGE_TOKEN_INVALID')).toBe(true);
  });
});

async function pagesOf(
  audit: Awaited<ReturnType<Awaited<ReturnType<typeof openStore>>['open']>>,
  query: Parameters<typeof audit.list>[0],
): Promise<readonly AuditRecord[]> {
  const found: AuditRecord[] = [];
  for (let pageToken = ''; ;) {
    const page = await audit.list({ ...query, pageToken });
    expect(page.records.length).toBeLessThanOrEqual(query.pageSize ?? 100);
    found.push(...page.records);
    if (page.nextPageToken === '') return found;
    pageToken = page.nextPageToken;
  }
}

describe('who follows', () => {
  it('gets what is there and what comes, once and in order, until it leaves', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 300);
    const leaving = new AbortController();
    const seen: number[] = [];
    const following = (async () => {
      for await (const { number } of audit.follow(10, leaving.signal)) seen.push(number);
    })();
    await recordMany(audit, 300);
    await until(() => (seen.length === 590 ? true : undefined));
    expect(seen).toEqual(Array.from({ length: 590 }, (_, at) => at + 11));
    leaving.abort();
    await following;
  });

  it('begins with what comes next when it names no number, and ends with the server', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 3);
    const seen: number[] = [];
    const following = (async () => {
      const { signal } = new AbortController();
      for await (const { number } of audit.follow(undefined, signal)) seen.push(number);
    })();
    await audit.record(entry('next'));
    await until(() => (seen.length === 1 ? true : undefined));
    audit.stopFollowing();
    await following;
    expect(seen).toEqual([4]);
  });
});

describe('a verification', () => {
  it('ends when nobody waits for it any more', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 10);
    const verifying = audit.verify({}, AbortSignal.abort()).catch((error: unknown) => error);
    expect(hasReason(await verifying, 'CANCELED')).toBe(true);
  });

  it('takes a part', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 10);
    const { signal } = new AbortController();
    expect(await audit.verify({ from: 4, to: 7 }, signal)).toMatchObject({
      ...{ first: 4, last: 7, checked: 4, fault: undefined },
    });
    expect((await audit.verify({ from: 100 }, signal)).checked).toBe(0);
  });
});
