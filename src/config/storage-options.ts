import type { Option } from './option.ts';

/** Options of a store that is not in a directory of this machine. */
export const STORAGE_OPTIONS: readonly Option[] = [
  {
    name: 'storage-url',
    type: {
      ...{ kind: 'url', schemes: ['postgres:', 'postgresql:'] },
      parameters: ['schema', 'sslmode', 'sslrootcert'],
    },
    help: 'Keeps the store in a PostgreSQL, where any number of servers share it: postgres://user@host:port/database?schema=…&sslmode=…&sslrootcert=…. The schema is `molten` unless it says otherwise. sslmode is verify-full unless the host is this machine, or disable. Absent: the store is in --db-path.',
  },
  {
    ...{ name: 'storage-password', type: { kind: 'text' }, isSecret: true },
    help: 'The password of the user of --storage-url.',
  },
  {
    ...{ name: 'storage-connections', fallback: '10' },
    type: { kind: 'whole', min: 1, max: 1000, unit: 'connections' },
    help: 'How many connections to --storage-url are used for reads, at most; writes and the log take two more.',
  },
];
