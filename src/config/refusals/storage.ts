import { isLoopback } from '../../platform/loopback.ts';
import { findIf, type Refusal } from '../refusal.ts';

/** Refusals about a store in a database. */
export const STORAGE_REFUSALS: readonly Refusal[] = [
  {
    name: 'database address well-formed',
    when: '`--storage-url` that is no address of a PostgreSQL, or one with a password in it.',
    judge({ read }) {
      const text = read.text('storage-url');
      if (text === undefined) return [];
      const url = URL.parse(text);
      const isPostgres = url?.protocol === 'postgres:' || url?.protocol === 'postgresql:';
      return [
        ...findIf(!isPostgres, {
          option: 'storage-url',
          why: 'is no address of a PostgreSQL',
          fix: 'write postgres://user@host:port/database',
        }),
        ...findIf(isPostgres && url.password !== '', {
          option: 'storage-url',
          why: 'holds a password, which shows wherever the address does',
          fix: 'give it as --storage-password-file, or in its variable',
        }),
      ];
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
