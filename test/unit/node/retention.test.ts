import { afterEach, describe, expect, it, vi } from 'vitest';

import { startRetention } from '../../../src/domain/node/retention.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence, type Sequence } from '../../../src/storage/types.ts';

describe('retention', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('looks at the log once at a time, and is waited for when it ends', async () => {
    vi.useFakeTimers();
    const answers: ((sequence: Sequence) => void)[] = [];
    const engine = {
      lease: (job: string) => Promise.resolve({ job, fence: 7 }),
      head: () => Promise.resolve({ oldest: toSequence(0), sequence: toSequence(9) }),
      sequenceAt: () => new Promise<Sequence>((resolve) => answers.push(resolve)),
      health: () => ({ historyBytes: 0 }),
      compact: vi.fn((floor: Sequence) => Promise.resolve(floor)),
    };
    const retention = startRetention({
      ...{ engine: engine as unknown as StorageEngine, clock: systemClock },
      ...{ rules: { ageMs: 1000, bytesMax: 0 }, intervalMs: 10, onFailure: vi.fn() },
    });
    await vi.advanceTimersByTimeAsync(100);
    expect(answers).toHaveLength(1);
    const ending = retention[Symbol.asyncDispose]();
    answers[0]?.(toSequence(5));
    await ending;
    expect(engine.compact).toHaveBeenCalledExactlyOnceWith(toSequence(5), {
      ...{ job: 'retention', fence: 7 },
    });
  });
});
