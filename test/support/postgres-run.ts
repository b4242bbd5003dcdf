/** Starts the PostgreSQL of a test run, once for all of its files, and says where it is. */
import type { startPostgres as StartPostgres } from './postgres.ts';

/** Called by the test runner before the first file; what it returns, after the last. */
export default async function setup(): Promise<() => Promise<void>> {
  const startPostgres = await importQuietly();
  // What a power cut leaves is tested elsewhere.
  const database = await startPostgres({ fsync: 'off', max_connections: '300' });
  const { password } = database;
  const [url] = database.url('').split('?');
  process.env['MOLTEN_TEST_POSTGRES'] = JSON.stringify({ url, password });
  return async () => {
    await database[Symbol.asyncDispose]();
  };
}

/** Ends of a process that the package would make its own. */
const ENDS = ['beforeExit', 'exit'];

/** Without what the package does at the end of a process: it ends with 0, whatever tests have failed. */
async function importQuietly(): Promise<typeof StartPostgres> {
  const before = ENDS.flatMap((event) => process.rawListeners(event));
  const { startPostgres } = await import('./postgres.ts');
  for (const event of ENDS) {
    for (const listener of process.rawListeners(event)) {
      if (!before.includes(listener)) process.off(event, listener as () => void);
    }
  }
  return startPostgres;
}
