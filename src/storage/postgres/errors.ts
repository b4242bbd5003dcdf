import pg from 'pg';

import { DomainError } from '../../errors/domain-error.ts';
import type { DatabaseAddress } from './address.ts';

/** The SQLSTATE of an error of the database; undefined for others, whose codes may look like one, as EPIPE does. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** The connection failed, and not a statement on it: what was under way may or may not have happened. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** The server is none that a node may work on. */
export class NotPrimary extends ConnectionLost {
  constructor() {
    super('the server is a standby or set to read only; the address has to lead to the primary');
  }
}

/** Two transactions met, and this one gave way; it may be tried again as it is. */
export function isTransient(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

/** What a server says that is a standby or goes down, comes up, or ended the session. */
const LOST = ['25006', '57P01', '57P02', '57P03', '57P05', '53300', '25P03', '25P04'];

/** The connection is gone, or leads to a server that does not take writes. */
export function isConnectionLost(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined) return error instanceof ConnectionLost;
  return state.startsWith('08') || LOST.includes(state);
}

/** A statement that the database does not have. */
export function isUnknown(error: unknown): boolean {
  return ['0A000', '42601'].includes(sqlState(error) ?? '');
}

/** What an error of the database means to a caller. Messages of the database go to the log alone. */
export function translate(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  const cause = { cause: error };
  const state = sqlState(error);
  switch (state) {
    case '57014':
      return new DomainError(
        'ENGINE_UNAVAILABLE',
        'the database took longer than its time limit; try again, or narrow what is asked',
        cause,
      );
    case '40001':
    case '40P01':
      return new DomainError(
        'TRANSACTION_CONFLICT',
        'other transactions of the database came first, again and again; try again',
        cause,
      );
    case '55P03':
      return new DomainError(
        'ENGINE_UNAVAILABLE',
        'the log is held by another node for too long; try again',
        cause,
      );
    case '53100':
      return new DomainError('STORAGE_FULL', 'the disk of the database is full', cause);
    case 'XX001':
    case 'XX002':
      return new DomainError('CORRUPTION_DETECTED', 'the database reports damaged data', cause);
    case '28P01':
    case '28000':
    case '42501':
      return new DomainError(
        'ENGINE_UNAVAILABLE',
        'the database refuses the user; check user, password, database and grants',
        cause,
      );
    case '3D000':
      return new DomainError(
        'ENGINE_UNAVAILABLE',
        'there is no such database; create it with the encoding UTF8, or check its name',
        cause,
      );
    default:
      return isConnectionLost(error) ? unreachable(error) : failed(error, state);
  }
}

/** ENGINE_UNAVAILABLE: no connection to the database, or to one that takes no writes. */
export function unreachable(cause: unknown): DomainError {
  const isReadOnly = cause instanceof NotPrimary || sqlState(cause) === '25006';
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    isReadOnly
      ? 'the database takes no writes: it is a standby or set to read only; try again when the primary is back'
      : 'the database cannot be reached; try again when it is back',
    { cause },
  );
}

/**
 * Why a store cannot be opened, for whoever starts it: names the database, which callers are never told, and
 * what the network or TLS said. Never the password.
 */
export function startFailure(error: unknown, address: DatabaseAddress): DomainError {
  const failure = translate(error);
  if (failure.reason !== 'ENGINE_UNAVAILABLE' || failure === error) return failure;
  const state = sqlState(error);
  const said = isConnectionLost(error) && error instanceof Error ? ` (${error.message})` : '';
  const why =
    state === undefined
      ? 'cannot be reached; check that it runs, the address, the network and TLS'
      : failure.message;
  return new DomainError('ENGINE_UNAVAILABLE', `${nameOf(address)}: ${why}${said}`, {
    cause: error,
  });
}

/** A database in words. */
export function nameOf({ host, port, database, user }: DatabaseAddress): string {
  return `the database '${database}' at ${host}:${port.toString()}, as '${user}'`;
}

/** Undefined table or column and the like are our own bugs; so is what has no SQLSTATE. */
function failed(cause: unknown, state: string | undefined): DomainError {
  return new DomainError(
    'INTERNAL',
    `the store failed unexpectedly${state === undefined ? '' : ` with ${state}`}`,
    { cause },
  );
}
