import { describe, expect, it } from 'vitest';

import {
  RemovalCause,
  WatchEndReason,
  WatchEventKind,
  WatchedChangeKind,
} from '../../../gen/molten/v1/watch_pb.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import {
  changesOf,
  kindsOf,
  recordWatch,
  watchClient,
  wordsOf,
  type RecordedWatch,
} from '../../support/watching.ts';

type Request = Parameters<typeof recordWatch>[1];

async function put(server: TestServer, path: string, fields: object): Promise<bigint> {
  const [collection = '', key = ''] = path.split('/');
  const url = `/v1/collections/${collection}/documents/${key}`;
  const answer = await server.asRoot('PUT', url, { body: { fields } });
  expect(answer.status, answer.text).toBe(200);
  return BigInt(answer.body.commit?.sequence ?? answer.body.result?.sequence ?? 0);
}

async function remove(server: TestServer, path: string): Promise<void> {
  const [collection = '', key = ''] = path.split('/');
  await server.asRoot('DELETE', `/v1/collections/${collection}/documents/${key}`);
}

async function watch(server: TestServer, request: Request, token?: string): Promise<RecordedWatch> {
  return await recordWatch(watchClient(server.url, token ?? (await server.rootToken())), request);
}

async function words(watched: RecordedWatch, count: number): Promise<readonly string[]> {
  return wordsOf(await watched.until((messages) => changesOf(messages).length >= count));
}

describe('what a watch tells', () => {
  it('is every change from now on, with its sequence and a token', async () => {
    await using server = await startTestServer();
    await put(server, 'c/old', { n: 0 });
    await using watched = await watch(server, { targets: [{ collection: 'c' }] });
    await put(server, 'c/a', { n: 1 });
    await put(server, 'c/a', { n: 2 });
    await put(server, 'other/a', { n: 2 });
    await remove(server, 'c/a');
    expect(await words(watched, 3)).toEqual(['entered a 1', 'changed a 2', 'deleted a']);
    const [started, ...commits] = watched.messages;
    expect(started?.kind).toBe(WatchEventKind.STARTED);
    const changes = changesOf(commits);
    expect(changes.map(({ created }) => created)).toEqual([true, false, false]);
    const [first, , last] = changes;
    expect(first?.document).toMatchObject({ key: 'a', version: 1n, collection: 'c' });
    expect(last?.sequence).toBeGreaterThan(first?.sequence ?? 0n);
    for (const { resumeToken } of watched.messages) expect(resumeToken).not.toBe('');
  });

  it('says when documents begin and cease to match, and what they were before', async () => {
    await using server = await startTestServer();
    await using watched = await watch(server, {
      targets: [{ collection: 'c', where: { n: { $gt: 10 } } }],
      includePrevious: true,
    });
    for (const n of [1, 20, 30, 2, 40]) await put(server, 'c/a', { n });
    await remove(server, 'c/a');
    await put(server, 'c/b', { n: 3 });
    await remove(server, 'c/b');
    await put(server, 'c/z', { n: 99 });
    expect(await words(watched, 6)).toEqual([
      ...['entered a 20 (1)', 'changed a 30 (20)', 'left a (30)', 'entered a 40 (2)'],
      ...['deleted a (40)', 'entered z 99'],
    ]);
  });

  it('is narrowed by keys, by a prefix, by fields; several targets make one stream', async () => {
    await using server = await startTestServer();
    await using watched = await watch(server, {
      targets: [
        { collection: 'c', keys: ['x'] },
        { collection: 'd', keyPrefix: 'eu-' },
        {
          collection: 'd',
          keys: ['eu-1'],
        },
      ],
      fields: ['n'],
    });
    const paths = ['c/x', 'c/y', 'd/eu-1', 'd/us-1', 'e/x', 'd/eu-2'];
    for (const path of paths) await put(server, path, { n: 1, secret: true });
    const told = changesOf(await watched.until((all) => changesOf(all).length >= 3));
    expect(told.map(({ collection, key }) => `${collection}/${key}`)).toEqual([
      ...['c/x', 'd/eu-1', 'd/eu-2'],
    ]);
    expect(told[0]?.document?.content.value).toEqual({ n: 1 });
  });

  it('begins with the documents as they are, cut at one sequence', async () => {
    await using server = await startTestServer();
    const writes = Array.from({ length: 1200 }, (_, at) => ({
      key: `k${String(at).padStart(4, '0')}`,
      body: { fields: { n: at } },
    }));
    for (let at = 0; at < 1200; at += 600) {
      const body = { writes: writes.slice(at, at + 600) };
      await server.asRoot('POST', '/v1/collections/c/documents:batchSet', body);
    }
    await remove(server, 'c/k0007');
    const request: Request = {
      targets: [
        { collection: 'c', where: { n: { $lt: 1100 } } },
        { collection: 'c', keys: ['k0001'] },
      ],
      start: { case: 'initialState', value: true },
    };
    const opening = watch(server, request);
    await put(server, 'c/k0000', { n: -1 });
    await using watched = await opening;
    await put(server, 'c/k0001', { n: -2 });
    const messages = await watched.until((all) =>
      changesOf(all).some(({ key }) => key === 'k0001'),
    );
    const kinds = kindsOf(messages);
    expect(kinds.lastIndexOf('documents')).toBe(kinds.indexOf('current') - 1);
    const shown = messages.flatMap(({ documents }) => documents);
    expect(new Set(shown.map(({ key }) => key)).size).toBe(1099);
    expect(shown).toHaveLength(1099);
    const cut = messages[0]?.sequence ?? 0n;
    for (const { sequence } of shown) expect(sequence).toBeLessThanOrEqual(cut);
    for (const { sequence } of changesOf(messages)) expect(sequence).toBeGreaterThan(cut);
    expect(messages.filter(({ resumeToken }) => resumeToken === '')).toHaveLength(
      kinds.indexOf('current'),
    );
  });

  it('never splits a commit, unless fragments are asked for', async () => {
    await using server = await startTestServer();
    const request: Request = { targets: [{ collection: 'c' }] };
    await using whole = await watch(server, request);
    await using parts = await watch(server, { ...request, fragment: true });
    const text = 'x'.repeat(200_000);
    const writes = Array.from({ length: 12 }, (_, at) => ({
      key: `k${String(at)}`,
      body: { fields: { n: at, text } },
    }));
    await server.asRoot('POST', '/v1/collections/c/documents:batchSet', { writes });
    await words(whole, 12);
    await words(parts, 12);
    expect(whole.messages.slice(1).map(({ changes }) => changes.length)).toEqual([12]);
    const sizes = parts.messages.slice(1).map(({ changes }) => changes.length);
    expect(sizes).toEqual([5, 5, 2]);
    expect(parts.messages.slice(1).map(({ hasMore }) => hasMore)).toEqual([true, true, false]);
    // A part is not resumed behind: the whole commit comes again.
    expect(parts.messages[1]?.resumeToken).toBe(parts.messages[0]?.resumeToken);
  });

  it('tells of emptied collections, of evictions and of what has expired', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({ sweepIntervalMs: 20 }, { clock });
    await server.asRoot('POST', '/v1/collections', { collection: 'c', settings: { maxSize: 2 } });
    await using watched = await watch(server, { targets: [{}] });
    for (const key of ['a', 'b', 'd']) await put(server, `c/${key}`, { n: 1 });
    await words(watched, 4);
    const evicted = changesOf(watched.messages)[3];
    expect(evicted).toMatchObject({ key: 'a', cause: RemovalCause.EVICTED });
    const ttl = { collection: 'e', settings: { ttl: '5s' } };
    expect((await server.asRoot('POST', '/v1/collections', ttl)).status).toBe(200);
    await put(server, 'e/a', { n: 1 });
    clock.advance(60_000);
    const isCleared = ({ kind }: { readonly kind: number }): boolean =>
      kind === WatchedChangeKind.CLEARED;
    const told = await watched.until((all) => changesOf(all).some(isCleared));
    expect(changesOf(told).find(isCleared)).toMatchObject({
      ...{ collection: 'e', key: '', cause: RemovalCause.EXPIRED },
    });
  });
});

describe('where a watch starts', () => {
  it('is after any sequence, 0 being the beginning', async () => {
    await using server = await startTestServer();
    const first = await put(server, 'c/a', { n: 1 });
    await put(server, 'c/a', { n: 2 });
    await using all = await watch(server, {
      targets: [{ collection: 'c' }],
      start: { case: 'afterSequence', value: 0n },
    });
    expect(await words(all, 2)).toEqual(['entered a 1', 'changed a 2']);
    await using later = await watch(server, {
      targets: [{ collection: 'c' }],
      start: { case: 'afterSequence', value: first },
    });
    expect(await words(later, 1)).toEqual(['changed a 2']);
  });

  it('is right behind the message whose token it gives, at every message', async () => {
    await using server = await startTestServer();
    const targets = [{ collection: 'c' }];
    await using watched = await watch(server, { targets });
    for (let n = 1; n <= 10; n++) await put(server, `c/k${String(n % 3)}`, { n });
    const told = await words(watched, 10);
    for (const [at, { resumeToken }] of [...watched.messages].entries()) {
      const start = { case: 'resumeToken', value: resumeToken } as const;
      await using resumed = await watch(server, { targets, start });
      await put(server, 'c/end', { n: 0 });
      const again = await resumed.until((all) => changesOf(all).some(({ key }) => key === 'end'));
      const seen = wordsOf(again).filter((word) => !word.includes('end'));
      expect(seen).toEqual(told.slice(at));
    }
  });

  it('is refused in the future, in another timeline, or with a forged token', async () => {
    await using server = await startTestServer();
    const targets = [{ collection: 'c' }];
    const sequence = await put(server, 'c/a', { n: 1 });
    const failures = [
      [{ case: 'afterSequence', value: sequence + 1n }, 'SEQUENCE_IN_FUTURE'],
      [{ case: 'resumeToken', value: 'nonsense' }, 'ARGUMENT_INVALID'],
      [{ case: 'resumeToken', value: 'AQAA' }, 'ARGUMENT_INVALID'],
    ] as const;
    for (const [start, reason] of failures) {
      await expect(watch(server, { targets, start })).rejects.toMatchObject({ reason });
    }
    await using other = await startTestServer();
    await using watched = await watch(other, { targets });
    const start = { case: 'resumeToken', value: watched.messages[0]?.resumeToken ?? '' } as const;
    const refused = watch(server, { targets, start });
    await expect(refused).rejects.toMatchObject({
      reason: 'SEQUENCE_COMPACTED',
      metadata: { epoch: expect.any(String), currentEpoch: expect.any(String), oldest: '0' },
    });
  });

  it('is refused for targets that make no sense, naming them', async () => {
    await using server = await startTestServer();
    const failures: readonly (readonly [Request, string, string])[] = [
      [{ targets: [] }, 'ARGUMENT_INVALID', 'targets'],
      [{ targets: [{ collection: 'no/name' }] }, 'KEY_INVALID', 'targets[0].collection'],
      [{ targets: [{ collection: 'c', where: { n: { $near: 1 } } }] }, 'FILTER_INVALID', '$near'],
      [
        { targets: [{ collection: 'c' }, { collection: 'c', keys: ['a b'] }] },
        'KEY_INVALID',
        'keys',
      ],
    ];
    for (const [request, reason, named] of failures) {
      const error = await watch(server, request).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ reason });
      expect(String(error)).toContain(named);
    }
  });
});

describe('who may watch', () => {
  it('sees the changes its scopes cover, and no other', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['read:c:mine-*', 'read:d:one', 'write:e:*']);
    await using watched = await watch(server, { targets: [{}] }, token);
    const paths = ['c/mine-1', 'c/yours-1', 'd/one', 'd/two', 'e/x', 'c/mine-2'];
    for (const path of paths) await put(server, path, { n: 1 });
    const told = changesOf(await watched.until((all) => changesOf(all).length >= 3));
    expect(told.map(({ key }) => key)).toEqual(['mine-1', 'one', 'mine-2']);
    const initial: Request = { targets: [{}], start: { case: 'initialState', value: true } };
    await using again = await watch(server, initial, token);
    const shown = await again.until((all) => kindsOf(all).includes('current'));
    const keys = shown.flatMap(({ documents }) => documents.map(({ key }) => key));
    expect(keys).toEqual(['mine-1', 'mine-2', 'one']);
  });

  it('is refused what it may not read, and without a token', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['read:c:mine-*', 'write:e:*']);
    for (const target of [{ collection: 'd' }, { collection: 'c', keys: ['yours'] }]) {
      const refused = watch(server, { targets: [target] }, token);
      await expect(refused).rejects.toMatchObject({ reason: 'SCOPE_MISSING' });
    }
    const writer = await server.tokenWith(['write:e:*']);
    const blind = watch(server, { targets: [{}] }, writer);
    await expect(blind).rejects.toMatchObject({ reason: 'SCOPE_MISSING' });
    const nobody = watch(server, { targets: [{}] }, 'not-a-token');
    await expect(nobody).rejects.toMatchObject({ reason: 'CREDENTIAL_INVALID' });
  });

  it('never sees the collections of the system', async () => {
    await using server = await startTestServer();
    await using watched = await watch(server, {
      targets: [{}],
      start: { case: 'afterSequence', value: 0n },
    });
    await put(server, 'c/a', { n: 1 });
    await words(watched, 1);
    expect(changesOf(watched.messages).map(({ collection }) => collection)).toEqual(['c']);
  });
});

describe('how a watch ends', () => {
  it('comes within a second of the revocation of its token, and another token resumes', async () => {
    await using server = await startTestServer();
    const targets = [{ collection: 'c' }];
    const token = await server.tokenWith(['read:c:*']);
    await using watched = await watch(server, { targets }, token);
    await put(server, 'c/a', { n: 1 });
    await words(watched, 1);
    const { body } = await server.request('GET', '/v1/sessions/current', { token });
    await server.asRoot('DELETE', `/v1/tokens/${String(body.principal.tokenId)}`);
    expect(await watched.ended()).toMatchObject({ reason: 'CREDENTIAL_REVOKED' });
    expect(watched.messages.at(-1)?.end).toBe(WatchEndReason.REVOKED);
    await put(server, 'c/a', { n: 2 });
    const other = await server.tokenWith(['read:c:*']);
    await using resumed = await watch(server, { targets, start: endOf(watched) }, other);
    expect(await words(resumed, 1)).toEqual(['changed a 2']);
  });

  /** Where a watch that has ended says that it goes on. */
  function endOf({ messages }: RecordedWatch): NonNullable<Request['start']> {
    return { case: 'resumeToken', value: messages.at(-1)?.resumeToken ?? '' };
  }

  it('comes with the expiry of its token', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const token = await server.tokenWith(['read:c:*']);
    const targets = [{ collection: 'c' }];
    await using watched = await watch(server, { targets }, token);
    clock.advance(3_600_001);
    expect(await watched.ended()).toMatchObject({ reason: 'CREDENTIAL_EXPIRED' });
    expect(watched.messages.at(-1)?.end).toBe(WatchEndReason.EXPIRED);
    await put(server, 'c/a', { n: 1 });
    const fresh = await server.tokenWith(['read:c:*']);
    await using resumed = await watch(server, { targets, start: endOf(watched) }, fresh);
    expect(await words(resumed, 1)).toEqual(['entered a 1']);
  });

  it('comes in peace when the last named collection is dropped', async () => {
    await using server = await startTestServer();
    await put(server, 'c/a', { n: 1 });
    await put(server, 'd/a', { n: 1 });
    const targets = [{ collection: 'c' }, { collection: 'd' }];
    await using watched = await watch(server, { targets });
    await using whole = await watch(server, { targets: [{}] });
    for (const name of ['c', 'd']) {
      await server.asRoot('DELETE', `/v1/collections/${name}`);
    }
    expect(await watched.ended()).toBeUndefined();
    expect(wordsOf(watched.messages)).toEqual(['dropped ', 'dropped ']);
    expect(watched.messages.at(-1)?.end).toBe(WatchEndReason.COLLECTION_DROPPED);
    expect(await words(whole, 2)).toEqual(['dropped ', 'dropped ']);
    expect(kindsOf(whole.messages)).not.toContain('end');
    // One that is made anew is followed from there.
    await put(server, 'c/a', { n: 2 });
    await using resumed = await watch(server, { targets, start: endOf(watched) });
    expect(await words(resumed, 1)).toEqual(['entered a 2']);
  });

  it('comes with the end of the server, resumable', async () => {
    using directory = createTemporaryDirectory();
    const server = await startTestServer({ dbPath: directory.path });
    const targets = [{ collection: 'c' }];
    await using watched = await watch(server, { targets });
    await put(server, 'c/a', { n: 1 });
    await words(watched, 1);
    await server.close();
    expect(await watched.ended()).toMatchObject({ reason: 'SHUTTING_DOWN' });
    expect(watched.messages.at(-1)?.end).toBe(WatchEndReason.SHUTTING_DOWN);
    await using next = await startTestServer({ dbPath: directory.path });
    await put(next, 'c/a', { n: 2 });
    await using resumed = await watch(next, { targets, start: endOf(watched) });
    expect(await words(resumed, 1)).toEqual(['changed a 2']);
  });

  it('has bookmarks before it, never ahead of what was told (15220)', async () => {
    const watchTimes = { bookmarkMs: 50 };
    await using server = await startTestServer({}, { watchTimes });
    await using watched = await watch(server, { targets: [{ collection: 'c' }] });
    const sequence = await put(server, 'elsewhere/a', { n: 1 });
    const bookmarked = await watched.until((all) => (all.at(-1)?.sequence ?? 0n) >= sequence);
    expect(kindsOf(bookmarked).slice(1)).toContain('bookmark');
    await put(server, 'c/a', { n: 1 });
    const told = await watched.until((all) => changesOf(all).length > 0);
    const own = changesOf(told)[0]?.sequence ?? 0n;
    for (const message of told.slice(0, -1)) expect(message.sequence).toBeLessThan(own);
  });
});
