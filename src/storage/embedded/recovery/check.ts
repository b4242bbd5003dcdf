import { createStatements, sqliteCode, type Connection, type Sql } from '../database.ts';
import { readFloor } from '../floor.ts';
import { checkCollections, type CheckedCollection } from './check-collections.ts';
import { checkLog } from './check-log.ts';
import { createFindings, unlessDamaged, type Findings } from './findings.ts';

/** What a file holds, and what is wrong with it. */
export interface CheckedStore {
  readonly epoch: string;
  readonly sequence: number;
  readonly timestampMs: number;
  /** The lowest sequence that can be read. */
  readonly floor: number;
  readonly collections: readonly CheckedCollection[];
  /** In words, each naming the record; empty when all is well. At most 100. */
  readonly problems: readonly string[];
}

/** Reads everything: every entry of the log, every document, and then every page. */
export function checkStore(database: Connection): CheckedStore {
  const sql = createStatements(database);
  const findings = createFindings();
  const floor = unlessDamaged(() => readFloor(sql).sequence);
  const epoch = unlessDamaged(() =>
    sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get(),
  );
  if (floor === undefined || epoch === undefined) {
    findings.add('the timeline and the floor of the log cannot be read');
  }
  const end = checkLog(sql, floor, findings);
  const collections = checkCollections(sql, findings);
  // What is known by name shows in pages too, and in those that point to them.
  if (findings.problems.length === 0) checkPages(database, sql, findings);
  const { problems } = findings;
  return {
    epoch: typeof epoch === 'string' ? epoch : '',
    ...end,
    floor: floor ?? 0,
    collections,
    problems,
  };
}

/** Every page, by the table that it belongs to; an index belongs to its table. */
function checkPages(database: Connection, sql: Sql, findings: Findings): void {
  if (integrityOf(database, '20') === undefined) return;
  const tables = unlessDamaged(() =>
    sql(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).pluck().all(),
  );
  for (const table of tables ?? []) {
    const problem = integrityOf(database, `'${String(table)}'`);
    if (problem !== undefined) findings.add(`the table '${String(table)}': ${problem}`);
  }
  if (findings.problems.length > 0) return;
  findings.add(`pages that no table uses: ${integrityOf(database, '1') ?? ''}`);
}

/** What is wrong with a table, or with all pages; undefined when nothing is. */
function integrityOf(database: Connection, what: string): string | undefined {
  try {
    const [first] = database.pragma(`integrity_check(${what})`) as { integrity_check: string }[];
    return first?.integrity_check === 'ok' ? undefined : String(first?.integrity_check);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return `${problem} ${sqliteCode(error) ?? ''}`.trim();
  }
}
