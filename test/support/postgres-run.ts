/** Starts the PostgreSQL of a test run, once for all of its files, and says where it is. */
import { startPostgres } from './postgres.ts';

/** Called by the test runner before the first file; what it returns, after the last. */
export default async function setup(): Promise<() => Promise<void>> {
  // What a power cut leaves is tested elsewhere.
  const database = await startPostgres({ fsync: 'off', max_connections: '300' });
  const { password } = database;
  const [url] = database.url('').split('?');
  process.env['MOLTEN_TEST_POSTGRES'] = JSON.stringify({ url, password });
  return async () => {
    await database[Symbol.asyncDispose]();
  };
}
