import { openDatabase } from './database.ts';

/** Called by the test runner before the first file: one database for all of them, which goes after the last. */
export default async function setup(): Promise<() => Promise<void>> {
  // What a power cut leaves is tested elsewhere.
  const database = await openDatabase({ fsync: 'off', max_connections: '300' });
  const { password } = database;
  process.env['MOLTEN_TEST_DATABASE'] = JSON.stringify({ url: database.url('any'), password });
  return async () => {
    await database[Symbol.asyncDispose]();
  };
}
