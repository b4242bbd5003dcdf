/**
 * What releases make of the tables, and how servers of two of them work side by side. A migration expands, so that
 * servers of older formats go on, or it contracts, and then names the oldest format whose servers may. That number
 * stays in the row `format`: who starts looks at it, every turn at the log does, and every look at the clock.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Connection } from './connections.ts';
import { olderNodes } from './nodes.ts';

/** The row `format`. */
export interface Format {
  readonly version: number;
  /** The oldest format whose servers may work on the tables. */
  readonly oldest: number;
}

/** A step from one format to the next. */
export interface Migration {
  /** Divided by semicolons; they alter one table, so that nobody waits for them who holds up another. */
  readonly statements: string;
  /**
   * The oldest format whose servers can work on the tables afterwards; the step fails while any of an older one
   * is at work. Absent: all that could before can, because it only adds what their statements leave out.
   */
  readonly oldest?: number;
}

/** The tables of a release. */
export interface Release {
  /** What it writes. It reads all before it, and those after it that say so. */
  readonly format: number;
  /** From each format to the next, in order; the first leads from 1 to 2. */
  readonly migrations: readonly Migration[];
}

/** This release. A change of the tables adds a migration; none that was published changes. */
export const RELEASE: Release = {
  format: 4,
  migrations: [
    {
      statements: `CREATE TABLE lease (
        job text COLLATE "C" PRIMARY KEY,
        holder text NOT NULL,
        fence bigint NOT NULL,
        until bigint NOT NULL
      ) WITH (fillfactor = 50)`,
    },
    {
      statements: `CREATE UNLOGGED TABLE budget (
        key text COLLATE "C" PRIMARY KEY,
        idx bigint NOT NULL,
        count bigint NOT NULL,
        before bigint NOT NULL,
        until bigint NOT NULL
      ) WITH (fillfactor = 50)`,
    },
    {
      // Servers of format 3 find all that they need, and nodes without a format are of one before this. It alters
      // three tables: of format 3 nobody reads `format` but who starts, or holds a row of `lease` and asks for another.
      statements: `ALTER TABLE format ADD COLUMN oldest integer NOT NULL DEFAULT 3;
        ALTER TABLE node ADD COLUMN format integer;
        ALTER TABLE lease ADD COLUMN moment bigint NOT NULL DEFAULT 0, ADD COLUMN done_at bigint`,
    },
  ],
};

const OLDEST = 'SELECT version, oldest FROM format';

/** The one row of `format`. */
export function formatOf(rows: readonly Format[]): Format {
  const [row] = rows;
  if (row === undefined) throw new Error('the format has one row');
  return row;
}

/** ENGINE_UNAVAILABLE for servers of a format that the tables have been taken from; undefined: they go on. */
export async function findTooOld(
  connection: Connection,
  format: number,
): Promise<DomainError | undefined> {
  const found = formatOf(await connection.rows<Format>(OLDEST));
  return found.oldest > format ? tooNew(found, { format }) : undefined;
}

/** Takes the tables from servers of older formats; ENGINE_UNAVAILABLE while any of them is at work. */
export async function contract(connection: Connection, oldest: number): Promise<void> {
  const older = await olderNodes(connection, oldest);
  if (older.length > 0) {
    const nodes = older.map(({ nodes: count, format }) => `${String(count)} of format ${format}`);
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `this release leaves the tables to servers from format ${String(oldest)} on, and others are at work on them: ${nodes.join(', ')}; bring them to a release in between, or stop them, and start this one a quarter of a minute later`,
    );
  }
  await connection.command('UPDATE format SET oldest = $1', [oldest]);
}

/** ENGINE_UNAVAILABLE: the tables are not for servers of this release any more. */
export function tooNew(
  { version, oldest }: Format,
  { format }: Pick<Release, 'format'>,
): DomainError {
  const [found, known] = [String(version), String(format)];
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables have format ${found}, for servers from format ${String(oldest)} on, this release knows up to ${known}; use the release that made them`,
    { metadata: { format: found, supported: known } },
  );
}
