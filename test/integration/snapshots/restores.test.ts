import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { createOperations, type Operations } from '../../../src/domain/snapshots/operations.ts';
import { createRestores, type Restores } from '../../../src/domain/snapshots/restores.ts';
import { openSnapshots, type Snapshots } from '../../../src/domain/snapshots/snapshots.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createIdSource } from '../../../src/platform/ids.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { put, reasonOf } from '../../contract/support.ts';
import { openRunStore } from '../../support/run-storage.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

interface Room extends AsyncDisposable {
  readonly engine: StorageEngine;
  readonly operations: Operations;
  readonly restores: Restores;
  readonly snapshots: Snapshots;
}

async function openRoom(directory: string): Promise<Room> {
  const engine = await openRunStore(join(directory, 'store'));
  const parts = { clock: systemClock, ids: createIdSource(systemClock) };
  const operations = createOperations({ ...parts, onFailure: () => undefined });
  const snapshots = await openSnapshots({
    ...{ ...parts, engine, operations, directory: join(directory, 'snapshots') },
    ...{ release: 'test', isEncrypted: false, hook: undefined, keep: 0 },
  });
  return {
    ...{ engine, operations, snapshots, restores: createRestores({ engine, operations }) },
    async [Symbol.asyncDispose]() {
      await operations[Symbol.asyncDispose]();
      await engine.close();
    },
  };
}

describe('a restore', () => {
  it('that could not start may be asked for again', async () => {
    using directory = createTemporaryDirectory();
    await using room = await openRoom(directory.path);
    const { engine, operations, restores } = room;
    await put(engine, 'a', {});
    const { sequence } = await engine.head();
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const busy = Array.from({ length: 16 }, () => operations.start('verify', '', () => ended));
    const point = { kind: 'sequence', sequence } as const;
    const request = { point, collection: 'things', target: 'back', keys: [] };
    expect(await reasonOf(restores.restore(request))).toBe('QUOTA_EXCEEDED');
    end();
    await Promise.all(busy.map(({ result }) => result));
    expect(await (await restores.restore(request)).result).toBe(1);
  });

  it('is previewed without a time when the log is gone, and not when it cannot be read', async () => {
    using directory = createTemporaryDirectory();
    await using room = await openRoom(directory.path);
    const { engine, operations } = room;
    await put(engine, 'a', {});
    const { sequence } = await engine.head();
    const previewWith = (reason: 'SEQUENCE_COMPACTED' | 'ENGINE_UNAVAILABLE'): Promise<unknown> => {
      const broken = new Proxy(engine, {
        get(target, name: keyof StorageEngine) {
          if (name === 'readLog') return () => Promise.reject(new DomainError(reason, 'no log'));
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      const restores = createRestores({ engine: broken, operations });
      const point = { kind: 'sequence', sequence } as const;
      return restores.preview(point, [], new AbortController().signal);
    };
    expect(await previewWith('SEQUENCE_COMPACTED')).toMatchObject({ timestampMs: undefined });
    expect(await reasonOf(previewWith('ENGINE_UNAVAILABLE'))).toBe('ENGINE_UNAVAILABLE');
  });
});

describe('the verification of a snapshot', () => {
  it('ends when it is canceled, in the middle of a file', async () => {
    using directory = createTemporaryDirectory();
    await using room = await openRoom(directory.path);
    await put(room.engine, 'a', {});
    const { name } = await room.snapshots.create('request').result;
    const { id, result } = room.snapshots.verify(name);
    room.operations.cancel(id);
    expect(await reasonOf(result)).toBe('CANCELED');
    expect((await room.snapshots.verify(name).result).name).toBe(name);
  });
});
