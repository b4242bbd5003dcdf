import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import type { ContractSubject } from './storage-contract.ts';
import { bodyOf, openStore, put, reasonOf } from './support.ts';

/** What an engine declares that it can do it does, and all else it refuses in one way. */
export function describeCapabilities(subject: ContractSubject): void {
  describe('capabilities', () => {
    it('copies itself while it is open, or refuses to', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      const directory = join(tmpdir(), `molten-copy-${process.pid.toString()}`);
      try {
        if (engine.capabilities.copy) {
          const { sequence } = await engine.head();
          expect(await engine.copy(directory)).toMatchObject({ sequence, documents: 1 });
        } else {
          expect(await reasonOf(engine.copy(directory))).toBe('FEATURE_DISABLED');
        }
        expect(existsSync(directory)).toBe(engine.capabilities.copy);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
      expect(await bodyOf(engine, 'a')).toEqual({ n: 1 });
    });

    it('changes its data key, or refuses to', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      const isEncrypted = engine.derivedKey('a test') !== undefined;
      const refusal = engine.capabilities.encryption ? 'ARGUMENT_INVALID' : 'FEATURE_DISABLED';
      const reason = await reasonOf(engine.rotateDataKey());
      expect(reason).toBe(isEncrypted ? undefined : refusal);
      expect(await bodyOf(await store.reopen(), 'a')).toEqual({ n: 1 });
    });

    it('is seen by a second node, or is held alone', async () => {
      await using store = await openStore(subject);
      const { engine, clock, place } = store;
      await put(engine, 'a', { n: 1 });
      const second = subject.open({ clock, place });
      if (!engine.capabilities.shared) {
        expect(await reasonOf(second)).toBe('ENGINE_UNAVAILABLE');
        return;
      }
      const { engine: other } = await second;
      await put(other, 'b', { n: 2 });
      expect(await bodyOf(engine, 'b')).toEqual({ n: 2 });
      expect(await bodyOf(other, 'a')).toEqual({ n: 1 });
      await other.close();
    });
  });
}
