import { describe, expect, it } from 'vitest';

import { parseDatabaseUrl } from '../../../src/storage/postgres/address.ts';

describe('the address of a database', () => {
  it('names a host, a database, a user and a schema', () => {
    expect(parseDatabaseUrl('postgres://ann@localhost/app', 'secret')).toEqual({
      ...{ host: 'localhost', port: 5432, database: 'app', user: 'ann', password: 'secret' },
      ...{ schema: 'molten', tls: undefined },
    });
    expect(parseDatabaseUrl('postgresql://a%40b@[::1]:6000/app?schema=mine', undefined)).toEqual({
      ...{ host: '::1', port: 6000, database: 'app', user: 'a@b', password: undefined },
      ...{ schema: 'mine', tls: undefined },
    });
  });

  it('is reached by TLS that is verified, unless the host is this machine or it is said', () => {
    const tlsOf = (url: string): unknown => parseDatabaseUrl(url, undefined).tls;
    expect(tlsOf('postgres://ann@db.example.org/app')).toEqual({ rejectUnauthorized: true });
    expect(tlsOf('postgres://ann@localhost/app?sslmode=verify-full')).toBeDefined();
    expect(tlsOf('postgres://ann@db.example.org/app?sslmode=disable')).toBeUndefined();
  });

  it.each([
    ['mysql://ann@localhost/app', 'is no address of a PostgreSQL; write postgres://'],
    ['postgres:///app', 'is no address of a PostgreSQL'],
    ['nonsense', 'is no address of a PostgreSQL'],
    ['postgres://ann:secret@localhost/app', 'holds a password'],
    ['postgres://localhost/app', 'names no user'],
    ['postgres://ann@localhost', 'names no database'],
    ['postgres://a%zz@localhost/app', 'names a user with a % that is no escape'],
    ['postgres://ann@localhost/app?sslmode=require', "has the sslmode 'require'; write disable or"],
    ['postgres://ann@localhost/app?schema=a"b', `has the schema 'a"b'; write 1 to 63`],
    ['postgres://ann@localhost/app?schema=a&schema=b', "has 'schema' more than once"],
    ['postgres://ann@localhost/app?sslmod=disable', "'sslmod'; did you mean 'sslmode'?"],
    ['postgres://ann@localhost/app?options=-c', "parameter 'options'; known are schema, sslmode"],
    ['postgres://ann@db/app?sslrootcert=/nowhere.pem', 'which cannot be read'],
    [
      'postgres://ann@localhost?schem=a',
      "names no database; write postgres://user@host:port/database, and has the unknown parameter 'schem'",
    ],
  ])('%s is refused, without what is secret in it', (url, problem) => {
    expect(() => parseDatabaseUrl(url, undefined)).toThrow(problem);
    expect(() => parseDatabaseUrl(url, undefined)).not.toThrow('secret');
  });
});
