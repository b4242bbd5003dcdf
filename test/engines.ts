/** What runs on which engine: the one list that `vitest.config.ts` and `test/tidy` read. */

/** What runs on the embedded engine, and once more with its stores in a PostgreSQL. */
export const ON_BOTH: string[] = [
  'test/e2e/**/*.test.ts',
  'test/integration/rest/*.test.ts',
  'test/integration/protocol/calls.test.ts',
  'test/integration/collections/over-rest.test.ts',
  'test/integration/compat/{access,aegis,mddb,mddb-refusals,queries,texts,writes}.test.ts',
  'test/integration/audit/over-http.test.ts',
  'test/integration/observability/query-limits.test.ts',
  'test/integration/watch/{over-http,web-socket,watch,client}.test.ts',
  'test/integration/access/{users,sessions,streams,over-the-wire,api-keys,delegation}.test.ts',
  'test/integration/access/{kept,second-factor,signing-keys,hidden-fields,hidden-watch,hidden-writes}.test.ts',
  'test/integration/snapshots/*.test.ts',
];

/** Files of those that do not run once more, each with the reason. */
export const EMBEDDED_ONLY: Readonly<Record<string, string>> = {
  'test/e2e/bootstrap.test.ts': 'what npm is called with in an empty clone; no server starts',
  'test/e2e/documents-of-recovery.test.ts':
    'a page whose commands recover a directory; migration.test.ts follows that of PostgreSQL',
  'test/e2e/failing-disk.test.ts': 'the disk of the process holds the store, and takes no more',
  'test/e2e/migration.test.ts': 'moves stores between both engines, and starts servers on each',
  'test/e2e/package.test.ts': 'what is in the package that npm installs, whatever the engine',
  'test/e2e/refusals.test.ts': 'servers that refuse to start, before they open a store',
  'test/e2e/recovery.test.ts': 'the commands for a store in a directory: recover, activate, verify',
};
