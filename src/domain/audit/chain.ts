import { hasReason } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Lease, StorageEngine } from '../../storage/engine.ts';
import { MATCH_ALL } from '../../storage/query/filter.ts';
import { ALL_KEYS, type Precondition, type Sequence } from '../../storage/types.ts';
import {
  AUDIT,
  bodyOf,
  bounded,
  isGenuine,
  keyOf,
  numberOf,
  parseRecord,
  sealRecord,
  type AuditRecord,
  type BoundedEntry,
} from './record.ts';
import {
  AUDIT_STATE,
  ENDS,
  NO_ENDS,
  parseEnds,
  sealEnds,
  type ChainEnds,
  type StoredEnds,
} from './state.ts';

/** What is stored under one number: a record, a text that is none, or nothing. */
export type StoredRecord =
  | { readonly kind: 'record'; readonly record: AuditRecord }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'missing' };

/** The chain in the store. Its writes take turns. */
export interface Chain {
  readonly key: Uint8Array;
  readonly engine: StorageEngine;
  /** As of the last write of this process. */
  ends(): ChainEnds;
  /** Adds records in one durable commit, in this order. */
  append(entries: readonly BoundedEntry[]): Promise<readonly AuditRecord[]>;
  /** Deletes all records up to this one, which becomes the anchor, while the lease is held. The newest stays. */
  deleteThrough(last: AuditRecord, lease: Lease): Promise<void>;
  /** What is stored under these numbers, both included; at most 1,000. */
  read(first: number, last: number): Promise<readonly StoredRecord[]>;
}

/** What a chain stands on. */
export interface ChainParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly key: Uint8Array;
  /** Told, in a sentence, of what is wrong with the chain that is found while it is written. */
  readonly onProblem: (problem: string) => void;
}

const ATTEMPTS_MAX = 16;
/** Records deleted in one commit. */
const DELETED_MAX = 1000;

/** Opens the chain of a store and goes on from its end. */
export async function openChain(parts: ChainParts): Promise<Chain> {
  const chain = new StoredChain(parts);
  await chain.open();
  return chain;
}

class StoredChain implements Chain {
  readonly key: Uint8Array;
  readonly engine: StorageEngine;
  readonly #parts: ChainParts;
  #ends: ChainEnds = NO_ENDS;
  /** The sequence of the stored ends; undefined: there are none. */
  #endsSequence: Sequence | undefined;
  /** The greatest number under which anything is stored, be it ours or not. */
  #highest = 0;
  /** What the chain has to say about itself, before anything else. */
  #own: BoundedEntry[] = [];
  #isStale = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: ChainParts) {
    this.#parts = parts;
    this.key = parts.key;
    this.engine = parts.engine;
  }

  async open(): Promise<void> {
    await this.#load();
    if (this.#own.length > 0) await this.append([]);
  }

  ends(): ChainEnds {
    return this.#ends;
  }

  append(entries: readonly BoundedEntry[]): Promise<readonly AuditRecord[]> {
    return this.#exclusive(() =>
      this.#attempt(async () => {
        const own = this.#own.length;
        const { records, ends } = this.#seal([...this.#own, ...entries]);
        await this.#commit(ends, { put: records, delete: [] });
        this.#own = [];
        return records.slice(own);
      }),
    );
  }

  deleteThrough({ number, hash }: AuditRecord, lease: Lease): Promise<void> {
    return this.#exclusive(() =>
      this.#attempt(async () => {
        const { anchor, end } = this.#ends;
        // What was asked for may be long past, or far off, when the ends have just been read anew.
        const count = number - anchor.number;
        if (count <= 0 || count > DELETED_MAX || number >= end.number) return;
        const keys: string[] = [];
        for (let at = anchor.number + 1; at <= number; at++) keys.push(keyOf(at));
        const ends = { ...this.#ends, anchor: { number, hash } };
        await this.#commit(ends, { put: [], delete: keys, lease });
      }),
    );
  }

  async read(first: number, last: number): Promise<readonly StoredRecord[]> {
    const numbers = Array.from({ length: Math.max(last - first + 1, 0) }, (_, at) => first + at);
    const found = await this.engine.get(AUDIT, numbers.map(keyOf));
    return found.map((document, at): StoredRecord => {
      if (document === undefined) return { kind: 'missing' };
      const record = parseRecord(document.body);
      const isOfNumber = record !== undefined && record.number === numbers[at];
      return isOfNumber ? { kind: 'record', record } : { kind: 'malformed' };
    });
  }

  /** One write at a time, whether or not the one before succeeded. */
  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const mine = before.then(work);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  /** Tries again from the stored end when somebody else has moved it. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (this.#isStale) await this.#load();
        return await work();
      } catch (error) {
        // Whatever happened: what is stored counts, not what is remembered.
        this.#isStale = true;
        if (!isConflict(error) || attempt >= ATTEMPTS_MAX) throw error;
      }
    }
  }

  #seal(entries: readonly BoundedEntry[]): {
    readonly records: readonly AuditRecord[];
    readonly ends: ChainEnds;
  } {
    const time = Math.max(this.#parts.clock.now(), this.#ends.endTime);
    let { end } = this.#ends;
    // Beyond the end there can be only what is none of ours; verification names it.
    end = { ...end, number: Math.max(end.number, this.#highest) };
    const records = entries.map((entry) => {
      const record = sealRecord(this.key, { ...entry, number: end.number + 1, time }, end.hash);
      end = { number: record.number, hash: record.hash };
      return record;
    });
    return { records, ends: { ...this.#ends, end, endTime: time } };
  }

  /** Fails when the ends are not as this process knows them, so that no two writers fork the chain. */
  async #commit(
    ends: ChainEnds,
    work: {
      readonly put: readonly AuditRecord[];
      readonly delete: readonly string[];
      readonly lease?: Lease;
    },
  ): Promise<void> {
    const { writes } = await this.engine.transact(
      { durability: 'sync', lease: work.lease },
      (transaction) => {
        for (const record of work.put) {
          transaction.put({
            ...{ collection: AUDIT, key: keyOf(record.number), body: bodyOf(record) },
            precondition: { kind: 'exists', exists: false },
          });
        }
        for (const key of work.delete) transaction.delete({ collection: AUDIT, key });
        transaction.put({
          ...{ collection: AUDIT_STATE, key: ENDS, body: sealEnds(this.key, ends) },
          precondition: this.#endsUnchanged(),
        });
      },
    );
    this.#endsSequence = writes.find(({ collection }) => collection === AUDIT_STATE)?.sequence;
    this.#ends = ends;
  }

  #endsUnchanged(): Precondition {
    return this.#endsSequence === undefined
      ? { kind: 'exists', exists: false }
      : { kind: 'sequence', sequence: this.#endsSequence };
  }

  async #load(): Promise<void> {
    const highest = await findOutermost(this.engine, 'desc');
    // After the records: what is added meanwhile is in the ends as well.
    const [document] = await this.engine.get(AUDIT_STATE, [ENDS]);
    const stored = document && parseEnds(this.key, document.body);
    this.#own = [];
    this.#highest = highest?.number ?? 0;
    this.#endsSequence = document?.sequence;
    if (stored?.isGenuine === true) this.#ends = stored.ends;
    else if (document === undefined && highest === undefined) this.#ends = NO_ENDS;
    else this.#ends = await this.#goOn(stored, highest);
    this.#isStale = false;
  }

  /** Where to go on when the ends are not to be trusted, and what to tell of it in the chain itself. */
  async #goOn(stored: StoredEnds | undefined, highest: Outermost | undefined): Promise<ChainEnds> {
    if (stored !== undefined && this.#hasOtherSecret(stored, highest?.record)) {
      this.#tell('audit.secretChanged', 'records up to here were sealed with another secret');
      return { ...stored.ends, foreignThrough: stored.ends.end.number };
    }
    this.#tell('audit.damaged', 'the ends of the chain were changed or are missing');
    return endsOf(await findOutermost(this.engine, 'asc'), highest);
  }

  /** Who cannot seal ends can still write that they have another key: then the records must agree. */
  #hasOtherSecret({ ends, namesOtherKey }: StoredEnds, newest: AuditRecord | undefined): boolean {
    if (!namesOtherKey || newest === undefined || isGenuine(this.key, newest)) return false;
    return ends.end.number === newest.number && ends.end.hash === newest.hash;
  }

  #tell(action: string, problem: string): void {
    this.#parts.onProblem(problem);
    this.#own = [bounded({ action, result: 'failure', details: { problem } })];
  }
}

/** The first or the last record. */
interface Outermost {
  readonly number: number;
  /** Undefined when it cannot be read. */
  readonly record: AuditRecord | undefined;
}

/** The ends as the records themselves tell them; nothing stored: as if there had been none. */
function endsOf(lowest: Outermost = NOTHING, highest: Outermost = NOTHING): ChainEnds {
  return {
    anchor: { number: Math.max(lowest.number - 1, 0), hash: lowest.record?.previousHash ?? '' },
    // A number is left out, for ever: verification finds the place.
    end: { number: highest.number + 1, hash: highest.record?.hash ?? '' },
    ...{ endTime: highest.record?.time ?? 0, foreignThrough: 0 },
  };
}

const NOTHING: Outermost = { number: 0, record: undefined };

/** Finds the last record (`desc`) or the first by its key, whatever else lies in the collection. */
export async function findOutermost(
  engine: StorageEngine,
  direction: 'asc' | 'desc',
): Promise<Outermost | undefined> {
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...ALL_RECORDS, order: { by: 'key', direction }, after });
    for (const { key, body } of page.documents) {
      const number = numberOf(key);
      if (number !== undefined) return { number, record: parseRecord(body) };
    }
    if (page.next === undefined) return undefined;
    after = page.next;
  }
}

const ALL_RECORDS = {
  collection: AUDIT,
  access: ALL_KEYS,
  ...{ keys: undefined, keyPrefix: '', filter: MATCH_ALL, joins: [] },
  limits: {
    ...{ examinedMax: Infinity, sortedMax: Infinity, timeMs: Infinity },
    ...{ memoryBytesMax: Infinity, pageBytesMax: Infinity },
  },
  ...{ projection: undefined, offset: 0, limit: 16, total: false },
} as const;

function isConflict(error: unknown): boolean {
  return hasReason(error, 'VERSION_MISMATCH') || hasReason(error, 'DOCUMENT_EXISTS');
}
