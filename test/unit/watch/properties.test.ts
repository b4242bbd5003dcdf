/** The validators of the chaos tests: each finds the history that breaks its property, and passes a sound one. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { DocumentSchema } from '../../../gen/molten/v1/documents_pb.ts';
import {
  WatchedChangeKind,
  WatchedChangeSchema,
  WatchEventKind,
  WatchResponseSchema,
  type WatchedChange,
  type WatchResponse,
} from '../../../gen/molten/v1/watch_pb.ts';
import { toBody } from '../../../src/client/documents.ts';
import {
  filterViolations,
  violationsOf,
  type AcknowledgedWrite,
} from '../../support/watch-properties.ts';

interface Put {
  readonly sequence: number;
  readonly key: string;
  readonly n: number;
  readonly version?: number;
  readonly before?: { readonly n: number; readonly version: number };
}

function documentOf(key: string, n: number, version: number): WatchedChange['document'] {
  const { content } = toBody({ n });
  const shape = { collection: 'c', key, version: BigInt(version) };
  return create(DocumentSchema, { ...shape, content });
}

function change({ sequence, key, n, version = 1, before }: Put): WatchedChange {
  const previous = before && documentOf(key, before.n, before.version);
  const document = documentOf(key, n, version);
  return create(WatchedChangeSchema, {
    ...{ kind: before === undefined ? WatchedChangeKind.ENTERED : WatchedChangeKind.CHANGED },
    ...{ collection: 'c', key, sequence: BigInt(sequence), created: before === undefined },
    ...(document === undefined ? {} : { document }),
    ...(previous === undefined ? {} : { previous }),
  });
}

function commit(...changes: readonly WatchedChange[]): WatchResponse {
  const sequence = changes.at(-1)?.sequence ?? 0n;
  return create(WatchResponseSchema, {
    ...{ kind: WatchEventKind.COMMIT, changes: [...changes], sequence },
  });
}

function bookmark(sequence: number): WatchResponse {
  const kind = WatchEventKind.BOOKMARK;
  return create(WatchResponseSchema, { kind, sequence: BigInt(sequence) });
}

function write(sequence: number, key: string, n: number): AcknowledgedWrite {
  return { sequence: BigInt(sequence), collection: 'c', key, n, commit: BigInt(sequence) };
}

const A = change({ sequence: 2, key: 'a', n: 1 });
const B = change({ sequence: 3, key: 'b', n: 9 });
const B2 = change({ sequence: 4, key: 'b', n: 3, version: 2, before: { n: 9, version: 1 } });
const WRITES = [write(2, 'a', 1), write(3, 'b', 9), write(4, 'b', 3)];
const SOUND = [commit(A), commit(B), bookmark(3), commit(B2)];

describe('the validators of histories', () => {
  it('find nothing in a sound one', () => {
    expect(violationsOf(SOUND, WRITES)).toEqual([]);
  });

  it.each<readonly [string, readonly WatchResponse[], readonly AcknowledgedWrite[]]>([
    ['ordered', [commit(B), commit(A), commit(B2)], WRITES],
    ['ordered', [commit(A), commit(A), commit(B), commit(B2)], WRITES],
    ['bookmarkable', [commit(A), bookmark(3), commit(B), commit(B2)], WRITES],
    ['bookmarkable', [...SOUND, bookmark(2)], WRITES],
    ['atomic', SOUND, [write(2, 'a', 1), { ...write(3, 'b', 9), commit: 2n }, write(4, 'b', 3)]],
    ['reliable', [commit(B), commit(B2)], WRITES],
    ['reliable', SOUND, [write(2, 'a', 7), ...WRITES.slice(1)]],
    ['previous', [commit(A), commit(B), commit(change({ sequence: 4, key: 'b', n: 3 }))], WRITES],
    [
      'previous',
      [
        commit(A),
        commit(B),
        commit(change({ sequence: 4, key: 'b', n: 3, before: { n: 8, version: 1 } })),
      ],
      WRITES,
    ],
    [
      'is-create',
      [commit(create(WatchedChangeSchema, { ...A, created: false })), ...SOUND.slice(1)],
      WRITES,
    ],
  ])('find what is not %s', (property, history, writes) => {
    const found = violationsOf(history, writes);
    expect(found.join('\n')).toMatch(new RegExp(`^${property}: `, 'm'));
  });

  it('find what a filter told too much, and too little', () => {
    const isMatch = (n: number): boolean => n >= 5;
    const left = create(WatchedChangeSchema, { ...B2, kind: WatchedChangeKind.LEFT });
    expect(filterViolations(SOUND, [commit(B), commit(left)], isMatch)).toEqual([]);
    expect(filterViolations(SOUND, [commit(left)], isMatch)).toEqual([
      expect.stringContaining('was not told'),
    ]);
    expect(filterViolations(SOUND, [commit(A), commit(B), commit(left)], isMatch)).toEqual([
      expect.stringContaining('was told'),
    ]);
  });
});
