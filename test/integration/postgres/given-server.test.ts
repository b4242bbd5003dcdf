/** A run of tests on a server that somebody gives, as MOLTEN_TEST_POSTGRES_URL says it. */
import { afterEach, describe, expect, it, vi } from 'vitest';

import { openDatabase } from '../../support/database.ts';
import { startPostgres } from '../../support/postgres.ts';
import { openNode, put } from './scene.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a server that is given', () => {
  it('has a database for the run, beside its own, and none of it afterwards', async () => {
    await using server = await startPostgres({ fsync: 'off' });
    const databases = async (): Promise<readonly string[]> => {
      const rows = await server.run('public', 'SELECT datname AS name FROM pg_database');
      return rows.map((row) => (row as { readonly name: string }).name).toSorted();
    };
    const before = await databases();
    vi.stubEnv('MOLTEN_TEST_POSTGRES_URL', server.url('public'));
    vi.stubEnv('MOLTEN_TEST_POSTGRES_PASSWORD', server.password);
    {
      await using given = await openDatabase();
      const node = await openNode(given, 'store');
      const seq = String(await put(node, 'a'));
      expect(await given.run('store', 'SELECT seq FROM clock')).toEqual([{ seq }]);
      expect(await databases()).toHaveLength(before.length + 1);
      expect(await server.run('public', "SELECT to_regclass('store.clock') AS at")).toEqual([
        { at: null },
      ]);
      await node.close();
    }
    expect(await databases()).toEqual(before);
  });

  it('is not replaced by another one when its password is wrong', async () => {
    await using server = await startPostgres({ fsync: 'off' });
    vi.stubEnv('MOLTEN_TEST_POSTGRES_URL', server.url('public'));
    vi.stubEnv('MOLTEN_TEST_POSTGRES_PASSWORD', 'another one');
    await expect(openDatabase()).rejects.toThrow(/password authentication failed/);
  });
});
