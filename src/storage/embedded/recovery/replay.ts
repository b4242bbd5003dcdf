import { invariant } from '../../../errors/invariant.ts';
import { DomainError } from '../../../errors/domain-error.ts';
import type { LogEntry } from '../../types.ts';
import type { Sql } from '../database.ts';
import type { LogWriter } from '../../commit/log-writer.ts';
import { createLogWriter } from '../log-writer.ts';
import { CAUSE, ENTRY_KIND } from '../../commit/rows.ts';
import { createSqlStore } from '../sql-store.ts';
import {
  createWriterCatalog,
  type LiveCollection,
  type WriterCatalog,
} from '../../commit/catalog.ts';

/** Writes entries of a log again, each under its own sequence and time. */
export interface Replayer {
  /** CORRUPTION_DETECTED when the entry is not the next one, or fits nothing that is there. */
  apply(entry: LogEntry): void;
  /** Writes what is counted; call before COMMIT. */
  save(): void;
}

/** Goes on from the end of an open file. Secondary indexes are left aside: they are built anew. */
export function createReplayer(sql: Sql): Replayer {
  return new LogReplayer(sql);
}

interface HeadRow {
  readonly seq: number;
  readonly live: number;
  readonly bytes: number | null;
}

const SELECT_HEAD = `SELECT h.seq, h.live, octet_length(v.body) AS bytes
  FROM head h LEFT JOIN ver v ON v.seq = h.seq WHERE h.collection = ? AND h.key = ?`;
const SAVE_HEAD = `INSERT OR REPLACE INTO head (collection, key, seq, live, created_seq, expires_at)
  VALUES (?, ?, ?, ?, ?, ?)`;

class LogReplayer implements Replayer {
  readonly #sql: Sql;
  readonly #catalog: WriterCatalog;
  readonly #log: LogWriter;

  constructor(sql: Sql) {
    this.#sql = sql;
    const store = createSqlStore(sql);
    this.#catalog = createWriterCatalog(store);
    this.#log = createLogWriter(sql, store);
  }

  apply(entry: LogEntry): void {
    const next = this.#log.next();
    if (BigInt(next) !== entry.sequence) {
      throw damaged(entry, `follows sequence ${String(next - 1)}, with entries missing in between`);
    }
    this.#log.setTime(entry.timestampMs);
    if (entry.commit === entry.sequence) this.#log.beginCommit();
    switch (entry.kind) {
      case 'put':
      case 'delete':
        this.#applyToDocument(entry);
        return;
      case 'createCollection':
        this.#create(entry);
        return;
      case 'configureCollection':
        this.#configure(entry);
        return;
      case 'clearCollection':
      case 'dropCollection':
        this.#retire(entry);
    }
  }

  save(): void {
    this.#catalog.save();
    this.#catalog.takeChanges();
    this.#log.save();
  }

  #applyToDocument(entry: LogEntry): void {
    const collection = this.#catalog.edit(this.#find(entry));
    const head = this.#sql(SELECT_HEAD).get(collection.id, entry.key) as HeadRow | undefined;
    this.#appendDocument(entry, collection.id, head?.seq ?? 0);
    const oldBytes = head?.live === 1 ? (head.bytes ?? 0) : 0;
    this.#log.addHistory(oldBytes);
    collection.bytes -= oldBytes;
    collection.documents -= head?.live === 1 ? 1 : 0;
    if (entry.kind !== 'put') return;
    collection.bytes += Buffer.byteLength(entry.body);
    collection.documents += 1;
    collection.lastPutAtMs = entry.timestampMs;
  }

  #appendDocument(entry: LogEntry, collection: number, previous: number): void {
    const { key, body, expiresAtMs, createdAtMs } = entry;
    const isPut = entry.kind === 'put';
    const createdSequence = Number(entry.createdSequence);
    const sequence = this.#log.append({
      ...{ kind: isPut ? ENTRY_KIND.put : ENTRY_KIND.delete, collection, key, previous },
      ...{ version: Number(entry.version), createdSequence, createdAtMs },
      ...{ expiresAtMs, cause: causeOf(entry), ...(isPut ? { body } : {}) },
    });
    const expiry = isPut ? (expiresAtMs ?? null) : null;
    this.#sql(SAVE_HEAD).run(collection, key, sequence, isPut ? 1 : 0, createdSequence, expiry);
  }

  #create(entry: LogEntry): void {
    const settings = entry.settings ?? { documentsMax: undefined, rules: '{}' };
    const at = { ms: entry.timestampMs, sequence: this.#log.next() };
    const { id } = this.#catalog.create(entry.collection, settings, at);
    const body = JSON.stringify(settings);
    this.#log.append({ kind: ENTRY_KIND.createCollection, collection: id, body });
  }

  #configure(entry: LogEntry): void {
    const { settings } = entry;
    if (settings === undefined) throw damaged(entry, 'configures a collection, without settings');
    const collection = this.#catalog.edit(this.#find(entry));
    collection.revision += 1;
    collection.rules = settings.rules;
    collection.documentsMax = settings.documentsMax ?? null;
    collection.settingsSequence = this.#log.append({
      ...{ kind: ENTRY_KIND.configureCollection, collection: collection.id },
      ...{ previous: collection.settingsSequence, body: JSON.stringify(settings) },
    });
  }

  #retire(entry: LogEntry): void {
    const collection = this.#find(entry);
    const { kind } = entry;
    invariant(kind === 'clearCollection' || kind === 'dropCollection', 'only these retire');
    const sequence = this.#log.append({
      ...{ kind: ENTRY_KIND[kind], collection: collection.id, cause: causeOf(entry) },
    });
    this.#log.addHistory(collection.bytes);
    if (kind === 'dropCollection') this.#catalog.drop(collection, sequence);
    else this.#catalog.clear(collection, sequence);
  }

  #find(entry: LogEntry): LiveCollection {
    const found = this.#catalog.find(entry.collection);
    if (found === undefined) throw damaged(entry, `names the unknown '${entry.collection}'`);
    return found;
  }
}

function causeOf({ cause }: LogEntry): number {
  return cause === undefined ? 0 : CAUSE[cause];
}

function damaged({ sequence }: LogEntry, problem: string): DomainError {
  return new DomainError('CORRUPTION_DETECTED', `sequence ${String(sequence)} ${problem}`, {
    metadata: { sequence: String(sequence) },
  });
}
