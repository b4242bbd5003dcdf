import { isDatabaseUrl, readDatabaseUrl } from '../../platform/database-url.ts';
import { isLoopback } from '../../platform/loopback.ts';
import { findFile, findIf, type Refusal } from '../refusal.ts';

/** Refusals about a store in a database. */
export const STORAGE_REFUSALS: readonly Refusal[] = [
  {
    name: 'database address well-formed',
    when: '`--storage-url` that is no address of a PostgreSQL, has a password in it, a parameter that is unknown or wrong, or an `sslrootcert` that cannot be read.',
    judge({ read }) {
      const text = read.text('storage-url');
      if (text === undefined) return [];
      const found = readDatabaseUrl(text);
      if (!isDatabaseUrl(found)) return found.map((one) => ({ option: 'storage-url', ...one }));
      const { certificates } = found;
      return findIf(certificates !== undefined && findFile(certificates)?.isFile() !== true, {
        option: 'storage-url',
        why: 'names a file as sslrootcert that is not there',
        fix: 'write the path of a file in PEM, or leave it out',
      });
    },
  },
  {
    name: 'database by TLS',
    when: '`--storage-url` with `sslmode=disable` beyond this machine.',
    judge({ read }) {
      const url = URL.parse(read.text('storage-url') ?? '');
      const isClear = url?.searchParams.get('sslmode') === 'disable';
      return findIf(isClear && !isLoopback(url.hostname), {
        option: 'storage-url',
        why: 'would send every document over the network in the clear',
        fix: 'leave sslmode=disable out',
      });
    },
  },
];
