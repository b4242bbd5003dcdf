import { describe, expect, it } from 'vitest';

import type { ClockRow } from '../../../src/storage/postgres/clock-row.ts';
import { createStoreState } from '../../../src/storage/postgres/state.ts';

/** A clock at an end of the log, of which a part is on disk. */
function clockAt(seq: number, durable: number, epoch = 'one'): ClockRow {
  return {
    ...{ seq, ts: seq, durable_seq: durable, floor: 0, floor_at: 0, pruned_to: 0 },
    ...{ history_bytes: 0, ids: 0, has_work: false, epoch },
  };
}

describe('what a node knows of its store', () => {
  it('grows, and is told of, whatever the order in which answers come', () => {
    const state = createStoreState(clockAt(3, 3));
    const told: bigint[] = [];
    state.onCommit((sequence) => told.push(sequence));
    const before = state.clock;
    state.apply(clockAt(5, 4));
    // Asked before that was known.
    state.follow(clockAt(4, 4), before);
    state.apply(clockAt(4, 4));
    expect(state.clock).toMatchObject({ seq: 5, durable_seq: 4 });
    state.follow(clockAt(5, 5), state.clock);
    expect(told).toEqual([5n, 5n]);
    expect(state.outdated).toBeUndefined();
  });

  it('goes back with a database that lost what was not on disk', () => {
    const state = createStoreState(clockAt(9, 4));
    const told: bigint[] = [];
    state.onCommit((sequence) => told.push(sequence));
    state.follow(clockAt(4, 4), state.clock);
    expect(state.clock.seq).toBe(4);
    state.apply(clockAt(5, 5));
    expect(told).toEqual([5n]);
    expect(state.outdated).toBeUndefined();
  });

  it.each([
    ['another timeline, however far', clockAt(20, 20, 'two'), /new timeline of the log$/],
    ['another timeline that is shorter', clockAt(1, 1, 'two'), /begun a new timeline of the log$/],
    ['an end below what was on disk', clockAt(3, 3), /^the database has lost commits/],
  ])('is of no use any more after %s, and stays so', (_, seen, why) => {
    const state = createStoreState(clockAt(9, 4));
    state.follow(seen, state.clock);
    expect(state.outdated).toMatch(why);
    state.follow(clockAt(10, 10), state.clock);
    expect(state.outdated).toMatch(why);
    expect(state.clock.seq).toBe(9);
  });

  it('is of no use either when a commit of its own shows another timeline', () => {
    const state = createStoreState(clockAt(9, 9));
    state.apply(clockAt(2, 2, 'two'));
    expect(state.outdated).toBe('the database has begun a new timeline of the log');
  });
});
