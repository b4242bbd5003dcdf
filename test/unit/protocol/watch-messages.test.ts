import { describe, expect, it } from 'vitest';

import { DocumentEncoding } from '../../../gen/molten/v1/documents_pb.ts';
import type { WatchedChange, WatchEvent } from '../../../src/domain/watch/model.ts';
import { toWatchResponse } from '../../../src/protocol/mapping/watch.ts';
import { toSequence } from '../../../src/storage/types.ts';

const SEQUENCE = toSequence(7);

function changeOf(collection: string): WatchedChange {
  return {
    ...({ kind: 'deleted', collection, key: 'k', sequence: SEQUENCE, isCreation: false } as const),
    ...{ cause: undefined, document: undefined, previous: undefined },
  };
}

/** The commit as each watcher is given it: an event of its own, of changes that all have. */
function told(...changes: readonly WatchedChange[]): WatchEvent {
  const point = { sequence: SEQUENCE, resumeToken: 't' };
  return { ...point, kind: 'commit', timestampMs: 0, changes: [...changes], hasMore: false };
}

describe('the message of a commit', () => {
  it('is made once for each kind of watcher, however they take turns', () => {
    const [first, second] = [changeOf('a'), changeOf('b')];
    const kinds = [
      () => toWatchResponse(told(first), DocumentEncoding.JSON),
      () => toWatchResponse(told(first), DocumentEncoding.STRUCT),
      () => toWatchResponse(told(first, second), DocumentEncoding.JSON),
      () => toWatchResponse(told(first, second), DocumentEncoding.STRUCT),
    ];
    const messages = kinds.map((tell) => tell());
    expect(new Set(messages).size).toBe(kinds.length);
    for (let turn = 0; turn < 3; turn++) {
      for (const [at, tell] of kinds.entries()) expect(tell()).toBe(messages[at]);
    }
    expect(messages.map(({ changes }) => changes.length)).toEqual([1, 1, 2, 2]);
  });

  it('is kept for the four kinds that were told last', () => {
    const first = changeOf('a');
    const kinds = Array.from({ length: 5 }, (_, at) => {
      const others = Array.from({ length: at }, () => changeOf('b'));
      return () => toWatchResponse(told(first, ...others), DocumentEncoding.JSON);
    });
    const messages = kinds.map((tell) => tell());
    expect(kinds[4]?.()).toBe(messages[4]);
    expect(kinds[1]?.()).toBe(messages[1]);
    expect(kinds[0]?.()).not.toBe(messages[0]);
  });
});
