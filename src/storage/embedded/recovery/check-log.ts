import type { Sql } from '../database.ts';
import { ENTRY_KIND } from '../../commit/rows.ts';
import { unlessDamaged, type Findings } from './findings.ts';

interface EntryFacts {
  readonly seq: number;
  readonly ts: number;
  readonly first: number;
}

/**
 * The engine reads bodies for what they are without handing each out. It ends a text at a NUL, which
 * `format` shows; whatever it does not take for an object is looked at once more.
 */
const ENTRIES = `SELECT seq, ts, first, CASE WHEN kind <> ${String(ENTRY_KIND.put)} THEN 1
    WHEN json_valid(body) AND octet_length(format('%s', body)) = octet_length(body)
    THEN json_type(body) = 'object' ELSE 0 END
  FROM ver WHERE seq >= ? ORDER BY seq`;
const BODY = 'SELECT body FROM ver WHERE seq = ?';
const NEXT = 'SELECT seq FROM ver WHERE seq >= ? ORDER BY seq LIMIT 1';

/** Behind any log. */
const FAR = 2 ** 52;

/** The last entry of the log, as far as it can be read. */
export interface CheckedEnd {
  readonly sequence: number;
  readonly timestampMs: number;
}

/**
 * Above the floor the log is dense, goes forward in time, and its commits stand together. What cannot be
 * read is stepped over: the entries behind it are looked at all the same.
 */
export function checkLog(sql: Sql, floor: number | undefined, findings: Findings): CheckedEnd {
  // Without a floor nobody knows what should be there.
  const walk = new LogWalk(sql, floor ?? Infinity, findings);
  let from: number | undefined = 0;
  while (from !== undefined && !findings.isFull) from = walk.run(from);
  return walk.end;
}

class LogWalk {
  readonly #sql: Sql;
  readonly #floor: number;
  readonly #findings: Findings;
  #last: EntryFacts | undefined;
  #expected: number;

  constructor(sql: Sql, floor: number, findings: Findings) {
    this.#sql = sql;
    this.#floor = floor;
    this.#findings = findings;
    this.#expected = floor + 1;
  }

  get end(): CheckedEnd {
    return { sequence: this.#last?.seq ?? 0, timestampMs: this.#last?.ts ?? 0 };
  }

  /** Looks at entries up to the next damaged page; where to go on, undefined at the end of the log. */
  run(from: number): number | undefined {
    const isWhole = unlessDamaged(() => {
      const rows = this.#sql(ENTRIES).raw().iterate(from) as Iterable<
        [number, number, number, number]
      >;
      for (const [seq, ts, first, isSound] of rows) this.#look({ seq, ts, first }, isSound === 1);
      return true;
    });
    return isWhole === true
      ? undefined
      : this.#stepOver(Math.max(from, (this.#last?.seq ?? 0) + 1));
  }

  #look(entry: EntryFacts, isSound: boolean): void {
    const { seq } = entry;
    if (seq > this.#floor) {
      if (seq !== this.#expected) {
        this.#findings.add(`the log: sequence ${String(this.#expected)} is missing`);
      }
      this.#expected = seq + 1;
      this.#checkOrder(entry);
    }
    if (!isSound && !isObjectText(this.#sql(BODY).pluck().get(seq))) {
      this.#findings.add(`sequence ${String(seq)}: its body is no JSON object`);
    }
    this.#last = entry;
  }

  #checkOrder(entry: EntryFacts): void {
    const last = this.#last;
    const at = `sequence ${String(entry.seq)}`;
    if (last !== undefined && entry.ts < last.ts) {
      this.#findings.add(`${at}: its time is before that of the entry before it`);
    }
    const startsOrGoesOn = entry.first === entry.seq || entry.first === last?.first;
    // The beginning of its commit may be what cannot be read.
    if (!startsOrGoesOn && !this.#findings.isLost(entry.seq - 1)) {
      this.#findings.add(`${at}: its commit is not whole`);
    }
  }

  /** Names the entries that cannot be read; where the first comes that can. */
  #stepOver(first: number): number | undefined {
    const next = this.#nextReadable(first);
    // Its place can be read, and what it holds cannot.
    const isAlone = next === first;
    const after = isAlone ? first + 1 : next;
    const last = after === undefined ? this.#newest(first) : after - 1;
    this.#findings.addGap(first, last);
    this.#expected = Math.max(this.#expected, last + 1);
    return after;
  }

  /** The first entry from `first` on whose page can be read; undefined when there is none. */
  #nextReadable(first: number): number | undefined {
    let [lost, at] = [first - 1, first];
    let found = this.#seek(at);
    for (let step = 1; found === 'lost' && step < FAR; step *= 2) {
      [lost, at] = [at, first + step];
      found = this.#seek(at);
    }
    while (found !== 'lost' && at - lost > 1) {
      const middle = Math.floor((lost + at) / 2);
      const seen = this.#seek(middle);
      if (seen === 'lost') lost = middle;
      else [at, found] = [middle, seen === 'none' ? found : seen];
    }
    return typeof found === 'number' ? found : undefined;
  }

  /** The first entry at or behind a sequence; `lost` when its page cannot be read, `none` at the end. */
  #seek(sequence: number): number | 'lost' | 'none' {
    return (
      unlessDamaged(() => {
        const found = this.#sql(NEXT).pluck().get(sequence) as number | undefined;
        return found ?? ('none' as const);
      }) ?? 'lost'
    );
  }

  /** As far as the documents know of later entries. */
  #newest(atLeast: number): number {
    const known = unlessDamaged(() => this.#sql('SELECT max(seq) FROM head').pluck().get());
    return Math.max(atLeast, Number(known ?? 0));
  }
}

function isObjectText(text: unknown): boolean {
  try {
    const value: unknown = JSON.parse(String(text));
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
