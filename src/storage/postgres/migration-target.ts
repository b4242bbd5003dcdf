/**
 * The tables of a store that is being moved here. Until it is released they have a format that no release
 * opens, so that half of a store never serves. Each batch is a transaction that first touches the row of
 * whoever loads: one that was taken over by another fails at its next batch.
 */
import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { HISTORY_BYTES, REBUILD_INDEXES } from '../commit/statements.ts';
import type { MigrationTarget } from '../transfer/migrate.ts';
import {
  TABLES,
  type Row,
  type StateReader,
  type StoreEnd,
  type TableName,
} from '../transfer/rows.ts';
import { parseDatabaseUrl } from './address.ts';
import { connect, type Connection } from './connections.ts';
import { sqlState, translate } from './errors.ts';
import { inState, TIMES, type DatabasePlace } from './migration-source.ts';
import { beginLoad, dropLoad, endLoad, FENCE } from './load-schema.ts';

const ORPHANS = (['ver', 'head'] as const).map(
  (table) =>
    `DELETE FROM ${table} t WHERE NOT EXISTS (SELECT 1 FROM collection c WHERE c.id = t.collection)`,
);
const END = `UPDATE clock SET seq = $1, ts = $2, durable_seq = $1, floor = $3, floor_at = $4,
  pruned_to = $5, history_bytes = $6, epoch = $7, has_work = true,
  ids = greatest((SELECT max(id) FROM collection), (SELECT max(id) FROM idx), 0)`;

/**
 * Moves a store into a schema that holds nothing, or what an earlier load left. ARGUMENT_INVALID when it
 * holds anything else, ENGINE_UNAVAILABLE while another load is going on. Nothing stays of a load that
 * fails; of one whose process was killed, tables that no server opens.
 */
export async function loadDatabase<T>(
  { url, password }: DatabasePlace,
  work: (target: MigrationTarget) => Promise<T>,
): Promise<T> {
  const address = parseDatabaseUrl(url, password);
  const load = randomUUID();
  try {
    const connection = await connect(address, TIMES);
    try {
      await beginLoad(connection, address.schema, load);
      const target = new SchemaTarget(connection, load);
      try {
        return await work(target);
      } catch (error) {
        const failure: unknown = await target.abandon().then(
          () => error,
          (reason: unknown) => reason,
        );
        // Who was overtaken meets tables of others, and fails at whatever it does. What else keeps tables
        // from going is not what went wrong; the next load removes them.
        throw failure instanceof DomainError ? failure : error;
      }
    } finally {
      await connection.close();
    }
  } catch (error) {
    throw translate(error);
  }
}

class SchemaTarget implements MigrationTarget {
  readonly #connection: Connection;
  readonly #load: string;

  constructor(connection: Connection, load: string) {
    this.#connection = connection;
    this.#load = load;
  }

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    const { columns } = TABLES[table];
    const arrays = columns.map((_, at) => rows.map((row) => row[at] ?? null));
    await this.#inTurn(async () => {
      await this.#connection.command(INSERT[table], arrays);
    });
  }

  async tidy(): Promise<number> {
    return await this.#inTurn(async () => {
      for (const statement of ORPHANS) await this.#connection.command(statement);
      const [row] = await this.#connection.rows<{ bytes: number | string }>(HISTORY_BYTES);
      return Number(row?.bytes ?? 0);
    });
  }

  async assertMine(): Promise<void> {
    await this.#inTurn(() => Promise.resolve());
  }

  async finish({ epoch, sequence, timestampMs, floor, ...rest }: StoreEnd): Promise<void> {
    await this.#inTurn(async () => {
      // Their entries were left behind.
      await this.#connection.command(REBUILD_INDEXES);
      await this.#connection.command(END, [
        ...[sequence, timestampMs, floor, rest.floorAtMs, rest.prunedTo, rest.historyBytes, epoch],
      ]);
    });
    // Of tables that have just grown the planner knows nothing.
    for (const table of ['ver', 'head', 'collection']) {
      await this.#connection.command(`ANALYZE ${table}`);
    }
  }

  async read<T>(work: (state: StateReader) => Promise<T>): Promise<T> {
    return await inState(this.#connection, work);
  }

  async release(): Promise<void> {
    const [row] = await this.#connection.rows<{ synchronous_commit: string }>(
      'SHOW synchronous_commit',
    );
    // A server may be told to wait for standbys as well; that is kept.
    const asked = row?.synchronous_commit ?? 'on';
    const durability = ['off', 'local'].includes(asked) ? 'on' : asked;
    await this.#inTurn(() => endLoad(this.#connection), durability);
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    await this.#inTurn(() => dropLoad(this.#connection));
  }

  /** The log is on stable storage with the last turn, and all before it then. */
  async #inTurn<T>(work: () => Promise<T>, durability = 'off'): Promise<T> {
    const connection = this.#connection;
    await connection.command('BEGIN');
    try {
      await connection.command(`SET LOCAL synchronous_commit TO ${durability}`);
      const mine = await connection.rows(FENCE, [this.#load]);
      if (mine.length === 0) throw takenOver();
      const result = await work();
      await connection.command('COMMIT');
      return result;
    } catch (error) {
      await connection.command('ROLLBACK').catch(() => '');
      throw isGone(error) ? takenOver() : error;
    }
  }
}

/** The table of the load is not there. */
function isGone(error: unknown): boolean {
  return sqlState(error) === '42P01';
}

const INSERT = Object.fromEntries(
  Object.entries(TABLES).map(([name, { columns, keyColumns }]) => {
    const names = columns.map((column) => column.name);
    const arrays = columns.map(({ type }, at) => `$${String(at + 1)}::${type}[]`);
    const changes = names.slice(keyColumns).map((column) => `${column} = excluded.${column}`);
    const key = names.slice(0, keyColumns).join(', ');
    const replace =
      name === 'head' ? ` ON CONFLICT (${key}) DO UPDATE SET ${changes.join(', ')}` : '';
    const text = `INSERT INTO ${name} (${names.join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})`;
    return [name, text + replace];
  }),
) as Record<TableName, string>;

function takenOver(): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    'the load was begun anew by another process, or its tables were dropped; only one may load a schema',
  );
}
