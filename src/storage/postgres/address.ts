import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

import { DomainError } from '../../errors/domain-error.ts';

/** Where a database is and how it is reached. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  /** Undefined: cleartext. */
  readonly tls: ConnectionOptions | undefined;
  /** The schema that holds the tables. */
  readonly schema: string;
}

const PROTOCOLS = new Set(['postgres:', 'postgresql:']);
const PORT = 5432;
const SCHEMA = 'molten';
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/;
const PARAMETERS = ['schema', 'sslmode', 'sslrootcert'];
const LOCAL_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Reads `postgres://user@host:port/database?schema=…&sslmode=…&sslrootcert=…`. `sslmode` is `disable`,
 * or `verify-full`, which is meant wherever it is not said and the host is another machine.
 * ARGUMENT_INVALID for anything else, and for a password, which does not belong into an address.
 */
export function parseDatabaseUrl(text: string, password: string | undefined): DatabaseAddress {
  const url = checkedUrl(text);
  const schema = url.searchParams.get('schema') ?? SCHEMA;
  if (!SCHEMA_NAME.test(schema)) {
    throw invalid('names a schema that is not 1 to 63 of a-z 0-9 _, beginning with no digit');
  }
  const user = decodeURIComponent(url.username);
  const database = decodeURIComponent(url.pathname.slice(1));
  if (user === '' || database === '') throw invalid('names no user or no database');
  return {
    ...{ host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || PORT) },
    ...{ database, user, password, schema, tls: tlsOf(url) },
  };
}

function checkedUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !PROTOCOLS.has(url.protocol) || url.hostname === '') {
    throw invalid('is not of the form postgres://user@host:port/database');
  }
  if (url.password !== '') {
    throw invalid('holds a password, which would show in process lists and logs; give it apart');
  }
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    throw invalid(`has the unknown parameter '${unknown}'; there are ${PARAMETERS.join(', ')}`);
  }
  return url;
}

function tlsOf(url: URL): ConnectionOptions | undefined {
  const isLocal = LOCAL_HOSTS.has(url.hostname);
  const mode = url.searchParams.get('sslmode') ?? (isLocal ? 'disable' : 'verify-full');
  if (mode === 'disable') return undefined;
  if (mode !== 'verify-full') {
    throw invalid(`has sslmode '${mode}'; there are disable and verify-full`);
  }
  const file = url.searchParams.get('sslrootcert');
  return { rejectUnauthorized: true, ...(file === null ? {} : { ca: readFileSync(file, 'utf8') }) };
}

function invalid(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `the address of the database ${problem}`);
}
