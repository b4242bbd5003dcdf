/**
 * Restores while watches resume: part of the past written again under another name, and a whole store
 * swapped for an older state of itself, while connections are cut so that every watcher is about to resume
 * when it happens. It goes on without a gap or a duplicate, or it is told that its timeline is over. The
 * seed is printed; MOLTEN_SEED replays the same writes and cuts.
 */
import { describe, expect, it } from 'vitest';

import { OperationState } from '../../gen/molten/v1/operations_pb.ts';
import { WatchEventKind, type WatchResponse } from '../../gen/molten/v1/watch_pb.ts';
import { bodyOf, queryAll } from '../../src/client/documents.ts';
import type { MoltenClient } from '../../src/client/index.ts';
import { openResumeToken } from '../../src/domain/watch/resume-token.ts';
import { delay } from '../../src/platform/timers.ts';
import { FailingServer, type Start } from '../support/failing-server.ts';
import { createRandom, printedSeed, type Random } from '../support/random.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { stateOf, violationsOf, type AcknowledgedWrite } from '../support/watch-properties.ts';

const WRITERS = 4;
const WATCHERS = 3;
/** Some pages of a restore. */
const FILLED = 2000;
const RESTORES = 3;
const SWAPS = Number(process.env['MOLTEN_SWAPS'] ?? 1);
/** What writers do between two of either. */
const WRITES_BEFORE = 50;
const FROM_NOW: Start = { case: 'initialState', value: true };

/** The documents of a collection as they are, as `stateOf` gives them. */
async function contentOf(client: MoltenClient, collection: string): Promise<Map<string, number>> {
  const content = new Map<string, number>();
  for await (const document of queryAll(client, { collection, pageSize: 1000 })) {
    content.set(document.key, Number(bodyOf(document)['n']));
  }
  return content;
}

/** The end of one of the commits that writers made in this timeline, once there are some. */
async function pointOf(server: FailingServer, random: Random): Promise<bigint> {
  const isOfWriters = ({ key }: AcknowledgedWrite): boolean => !key.startsWith('filled');
  while (server.acknowledged.filter(isOfWriters).length < WRITES_BEFORE) await delay(20);
  const writes = server.acknowledged.filter(isOfWriters);
  const commit = writes[random.below(writes.length)]?.commit;
  return writes.findLast((one) => one.commit === commit)?.sequence ?? 0n;
}

/** Brings the collection back as it was, and waits until it is. */
async function restore(client: MoltenClient, sequence: bigint, target: string): Promise<void> {
  const point = { point: { case: 'sequence', value: sequence } } as const;
  const { operation } = await client.snapshots.restoreCollection({
    ...{ point, collection: 'c', target },
  });
  const ended = await client.operations.waitOperation({ operation: operation?.id ?? '' });
  expect(ended.operation?.state).toBe(OperationState.SUCCEEDED);
}

function epochOf(message: WatchResponse | undefined): string {
  return openResumeToken(message?.resumeToken ?? '').epoch;
}

/** The messages of the last beginning. */
function sinceStart(messages: readonly WatchResponse[]): readonly WatchResponse[] {
  return messages.slice(messages.findLastIndex(({ kind }) => kind === WatchEventKind.STARTED));
}

describe('a restore of a running server', () => {
  it('is told like every write, once and in order, to watches that resume meanwhile', async () => {
    const random = createRandom(printedSeed());
    using directory = createTemporaryDirectory();
    await using server = await FailingServer.start({ directory: directory.path, random });
    await server.fill(FILLED);
    const watchers = Array.from({ length: WATCHERS }, () => server.follow({ collection: '' }));
    const late = server.follow({ collection: '', start: FROM_NOW });
    const writers = Array.from({ length: WRITERS }, () => server.write());
    const points: bigint[] = [];
    for (let at = 0; at < RESTORES; at++) {
      const point = await pointOf(server, random);
      points.push(point);
      await server.cutDuring(restore(server.direct, point, `then-${String(at)}`));
    }
    await server.finish(writers);
    const histories = await Promise.all(watchers.map((one) => one.told()));
    for (const history of histories) expect(violationsOf(history, server.acknowledged)).toEqual([]);
    const [whole = []] = histories;
    for (const [at, point] of points.entries()) {
      const target = `then-${String(at)}`;
      const content = await contentOf(server.direct, target);
      expect(content.size).toBeGreaterThanOrEqual(FILLED);
      expect(content).toEqual(stateOf(whole, 'c', point));
      expect(content).toEqual(stateOf(whole, target));
      expect(content).toEqual(stateOf(await late.told(), target));
    }
    expect(stateOf(await late.told(), 'c')).toEqual(await contentOf(server.direct, 'c'));
  }, 120_000);
});

describe('a store that is swapped for an older state of itself', () => {
  it(
    'is another timeline: what resumes is told so, and what can begin anew does',
    async () => {
      const random = createRandom(printedSeed());
      using directory = createTemporaryDirectory();
      await using server = await FailingServer.start({ directory: directory.path, random });
      await server.fill(FILLED);
      const anew = Array.from({ length: WATCHERS }, () => server.follow({ start: FROM_NOW }));
      const writers = Array.from({ length: WRITERS }, () => server.write());
      for (let swap = 0; swap < SWAPS; swap++) {
        const resuming = Array.from({ length: WATCHERS }, () => server.follow());
        await Promise.all([...resuming, ...anew].map((one) => one.hasBegun()));
        const point = await pointOf(server, random);
        const { acknowledged } = server;
        await server.cutDuring(server.swap(point));
        for (const watcher of resuming) {
          const refusal = await watcher.ended();
          const last = watcher.messages.at(-1);
          expect(refusal).toMatchObject({ code: 'out_of_range', reason: 'SEQUENCE_COMPACTED' });
          expect(refusal?.metadata['epoch']).toBe(epochOf(last));
          expect(refusal?.metadata['oldest']).toBe('0');
          const told = (one: AcknowledgedWrite): boolean => one.sequence <= (last?.sequence ?? 0n);
          expect(violationsOf(watcher.messages, acknowledged.filter(told))).toEqual([]);
        }
      }
      await server.finish(writers);
      for (const watcher of anew) {
        const messages = await watcher.told();
        const last = sinceStart(messages);
        expect(new Set(messages.filter(hasToken).map(epochOf)).size).toBeGreaterThan(1);
        expect(new Set(last.filter(hasToken).map(epochOf)).size).toBe(1);
        const begin = last.findLast(({ kind }) => kind === WatchEventKind.CURRENT)?.sequence ?? 0n;
        const since = server.acknowledged.filter(({ commit }) => commit > begin);
        expect(violationsOf(last, since)).toEqual([]);
        expect(stateOf(messages, 'c')).toEqual(await contentOf(server.direct, 'c'));
      }
    },
    120_000 + SWAPS * 60_000,
  );
});

function hasToken({ resumeToken }: WatchResponse): boolean {
  return resumeToken !== '';
}
