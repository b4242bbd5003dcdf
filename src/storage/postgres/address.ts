import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

import { DomainError } from '../../errors/domain-error.ts';
import { isDatabaseUrl, readDatabaseUrl } from '../../platform/database-url.ts';

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

/**
 * Reads the address of a database. ARGUMENT_INVALID for one that is none, and for a file of certificates
 * that cannot be read.
 */
export function parseDatabaseUrl(text: string, password: string | undefined): DatabaseAddress {
  const read = readDatabaseUrl(text);
  if (!isDatabaseUrl(read)) {
    throw invalid(read.map(({ why, fix }) => `${why}; ${fix}`).join(', and '));
  }
  const { host, port, database, user, schema, isEncrypted, certificates } = read;
  const tls = isEncrypted ? { rejectUnauthorized: true, ...trusted(certificates) } : undefined;
  return { host, port, database, user, password, schema, tls };
}

function trusted(certificates: string | undefined): { readonly ca?: string } {
  if (certificates === undefined) return {};
  try {
    return { ca: readFileSync(certificates, 'utf8') };
  } catch {
    throw invalid(`names '${certificates}' as sslrootcert, which cannot be read`);
  }
}

function invalid(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `the address of the database ${problem}`);
}
