/**
 * Reads the log of MoltenDB 0.x: one JSON object a line, `{"cmd", "collection", "key", "value", "_t"}`. Every
 * entry keeps its time; sequences are numbered anew. A transaction between TX_BEGIN and TX_COMMIT becomes
 * one commit, and one that was never committed is left out, as the original does.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { DomainError } from '../../../errors/domain-error.ts';
import { toSequence, toVersion, type LogEntry } from '../../types.ts';
import { createStatements, type Connection } from '../database.ts';
import { createKeyring } from '../keyring.ts';
import { prepareSchema } from '../schema.ts';
import type { CheckedStore } from './check.ts';
import { buildDirectory, checkBuilt, withFile } from './directory.ts';
import { createReplayer, type Replayer } from './replay.ts';
import { beginTimeline } from './timeline.ts';

/** What an import came to. */
export interface ImportedLog {
  readonly lines: number;
  readonly checked: CheckedStore;
  /** What has no counterpart here, in words. */
  readonly notes: readonly string[];
}

interface Line {
  readonly cmd: string;
  readonly collection: string;
  readonly key: string;
  readonly value: unknown;
  readonly _t: number;
}

const NOTES_MAX = 100;

/**
 * Writes the log in `file` into a new store in `out`. Nothing stays of an import that fails:
 * CORRUPTION_DETECTED names the first line that is no entry, ARGUMENT_INVALID a log that is encrypted or in
 * the binary form of 1.0, or an `out` that exists.
 */
export async function importLog(request: {
  readonly file: string;
  readonly out: string;
  readonly password: string | undefined;
}): Promise<ImportedLog> {
  const { file, out, password } = request;
  return await buildDirectory(out, async (directory) => {
    const keys = password === undefined ? undefined : await createKeyring(directory, password);
    const store = { directory, dataKey: keys?.dataKey };
    const written = await withFile({ ...store, access: 'write' }, (database) =>
      importInto(file, database),
    );
    return { ...written, checked: await checkBuilt(directory, keys?.dataKey) };
  });
}

async function importInto(
  file: string,
  database: Connection,
): Promise<Omit<ImportedLog, 'checked'>> {
  prepareSchema(database);
  const sql = createStatements(database);
  sql('BEGIN IMMEDIATE').run();
  const importer = new LogImporter(createReplayer(sql));
  let lines = 0;
  for await (const text of createInterface({ input: createReadStream(file) })) {
    lines += 1;
    if (text.trim() !== '') importer.take(parseLine(text, lines));
  }
  importer.finish();
  beginTimeline(sql, importer.sequence);
  sql('COMMIT').run();
  // One file, with nothing beside it.
  database.pragma('journal_mode = DELETE');
  return { lines, notes: importer.notes };
}

function parseLine(text: string, number: number): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const hint = number === 1 ? '; logs of 1.0 are binary and cannot be read' : '';
    throw damaged(number, `is not JSON${hint}`);
  }
  if (typeof value !== 'object' || value === null) throw damaged(number, 'is no entry of a log');
  const { cmd, collection = '', key = '', value: content, _t = 0 } = value as Partial<Line>;
  if (typeof cmd !== 'string' || typeof collection !== 'string' || typeof key !== 'string') {
    throw damaged(number, 'is no entry of a log');
  }
  return { cmd, collection, key, value: content, _t: typeof _t === 'number' ? _t : 0 };
}

interface KnownDocument {
  readonly version: number;
  readonly sequence: number;
  readonly createdSequence: number;
  readonly createdAtMs: number;
}

class LogImporter {
  readonly #replayer: Replayer;
  /** Documents by key by collection. */
  readonly #collections = new Map<string, Map<string, KnownDocument>>();
  readonly notes: string[] = [];
  #transaction: Line[] | undefined;
  #timestampMs = 0;
  sequence = 0;

  constructor(replayer: Replayer) {
    this.#replayer = replayer;
  }

  take(line: Line): void {
    switch (line.cmd) {
      case 'TX_BEGIN':
        this.#transaction = [];
        return;
      case 'TX_COMMIT':
        this.#commit(this.#transaction ?? []);
        this.#transaction = undefined;
        return;
      default:
        if (this.#transaction === undefined) this.#commit([line]);
        else this.#transaction.push(line);
    }
  }

  finish(): void {
    if (this.#transaction !== undefined) this.#note('the last transaction was never committed');
    this.#replayer.save();
  }

  #commit(lines: readonly Line[]): void {
    const first = this.sequence + 1;
    for (const line of lines) this.#apply(line, first);
  }

  #apply(line: Line, first: number): void {
    switch (line.cmd) {
      case 'INSERT':
        this.#put(line, first);
        return;
      case 'DELETE':
      case 'TTL_EXPIRY':
        this.#delete(line, first);
        return;
      case 'DROP':
        if (!this.#collections.delete(line.collection)) return;
        this.#append({ ...this.#blank(line, first), kind: 'dropCollection', key: '' });
        return;
      case 'ENC':
        throw invalid(
          'the log is encrypted, by a key that cannot be derived here; export it first',
        );
      default:
        this.#note(`${line.cmd} of '${line.collection}' has no counterpart; declare it again`);
    }
  }

  #put(line: Line, first: number): void {
    const { collection, key } = line;
    if (typeof line.value !== 'object' || line.value === null || Array.isArray(line.value)) {
      this.#note(`'${key}' of '${collection}' is no object and is left out`);
      return;
    }
    const documents = this.#documentsOf(line, first);
    const before = documents.get(key);
    const blank = this.#blank(line, first);
    const known: KnownDocument = {
      version: (before?.version ?? 0) + 1,
      sequence: this.sequence + 1,
      createdSequence: before?.createdSequence ?? this.sequence + 1,
      createdAtMs: before?.createdAtMs ?? blank.timestampMs,
    };
    // System fields are the server's own; the rest is the document.
    const members = Object.entries(line.value).filter(([name]) => !name.startsWith('_'));
    this.#append({
      ...{ ...blank, kind: 'put', version: toVersion(known.version) },
      body: JSON.stringify(Object.fromEntries(members)),
      createdSequence: toSequence(known.createdSequence),
      createdAtMs: known.createdAtMs,
    });
    documents.set(key, known);
  }

  #delete(line: Line, first: number): void {
    const documents = this.#collections.get(line.collection);
    const before = documents?.get(line.key);
    if (documents === undefined || before === undefined) return;
    this.#append({
      ...{ ...this.#blank(line, first), kind: 'delete' },
      createdSequence: toSequence(before.createdSequence),
      createdAtMs: before.createdAtMs,
    });
    documents.delete(line.key);
  }

  #documentsOf(line: Line, first: number): Map<string, KnownDocument> {
    let documents = this.#collections.get(line.collection);
    if (documents === undefined) {
      documents = new Map();
      this.#collections.set(line.collection, documents);
      this.#append({ ...this.#blank(line, first), kind: 'createCollection', key: '' });
    }
    return documents;
  }

  #blank({ collection, key, _t: timeMs }: Line, first: number): LogEntry {
    return {
      ...{ sequence: toSequence(this.sequence + 1), commit: toSequence(first), collection, key },
      // Times of the original may step back; here they never do.
      timestampMs: Math.max(this.#timestampMs, timeMs),
      ...{ kind: 'put', version: toVersion(0), body: '', previousSequence: toSequence(0) },
      ...{ createdSequence: toSequence(this.sequence + 1), createdAtMs: timeMs },
      ...{ expiresAtMs: undefined, cause: undefined },
    };
  }

  #append(entry: LogEntry): void {
    this.#replayer.apply({ ...entry, sequence: toSequence(this.sequence + 1) });
    this.sequence += 1;
    this.#timestampMs = entry.timestampMs;
  }

  #note(text: string): void {
    if (this.notes.length < NOTES_MAX) this.notes.push(text);
  }
}

function damaged(number: number, problem: string): DomainError {
  return new DomainError('CORRUPTION_DETECTED', `line ${String(number)} of the log ${problem}`, {
    metadata: { line: String(number) },
  });
}

function invalid(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', problem);
}
