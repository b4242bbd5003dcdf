import { DomainError } from '../../errors/domain-error.ts';
import { breathe } from '../../platform/timers.ts';
import { findOutermost, type Chain, type StoredRecord } from './chain.ts';
import { isGenuine } from './record.ts';
import { AUDIT_STATE, ENDS, parseEnds, NO_ENDS, type ChainEnds } from './state.ts';

/** Which records are verified, both included. Absent: from the first that is kept, to the newest. */
export interface VerifyRange {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** What is wrong with a chain. */
export type AuditFaultKind =
  /** No record has the number. */
  | 'missing'
  /** What is stored under the number is no record, or is a record of another number. */
  | 'malformed'
  /** The record is not as it was written, or was written with another secret. */
  | 'wrongHash'
  /** The record does not follow the one before it. */
  | 'wrongPreviousHash'
  /** Records were added behind the end. */
  | 'extra'
  /** What is known of the ends of the chain was changed, is missing, or is older than it was. */
  | 'wrongEnds';

/** The first broken place of a chain. */
export interface AuditFault {
  readonly kind: AuditFaultKind;
  /** The record; 0 when it is not about one. */
  readonly number: number;
  readonly message: string;
}

/** What a verification found. */
export interface AuditVerification {
  /** Records found sound, before the fault. */
  readonly checked: number;
  /** The first and the last record looked at; 0 when there was none. */
  readonly first: number;
  readonly last: number;
  /** The hash of the last one found sound: kept elsewhere, it proves later that nothing was taken back. */
  readonly lastHash: string;
  readonly fault: AuditFault | undefined;
}

const PAGE = 500;

/** Walks the chain from its anchor and stops at the first broken place. CANCELED when the signal aborts. */
export async function verifyChain(
  chain: Chain,
  range: VerifyRange,
  signal: AbortSignal,
): Promise<AuditVerification> {
  const known = chain.ends();
  const ends = await readEnds(chain);
  if (ends === undefined) {
    return faultAt(0, 'wrongEnds', 'what is known of the ends of the chain was changed or is gone');
  }
  if (ends.end.number < known.end.number) {
    return faultAt(
      ends.end.number + 1,
      'wrongEnds',
      `the chain ends at ${String(ends.end.number)}; it had ${String(known.end.number)} records`,
    );
  }
  return await new Walk(chain, ends, signal).run(range);
}

async function readEnds(chain: Chain): Promise<ChainEnds | undefined> {
  const [document] = await chain.engine.get(AUDIT_STATE, [ENDS]);
  if (document === undefined) {
    const isNew =
      chain.ends().end.number === 0 && (await findOutermost(chain.engine, 'desc')) === undefined;
    return isNew ? NO_ENDS : undefined;
  }
  const stored = parseEnds(chain.key, document.body);
  return stored?.isGenuine === true ? stored.ends : undefined;
}

function faultAt(number: number, kind: AuditFaultKind, message: string): AuditVerification {
  return {
    ...{ checked: 0, first: number, last: number, lastHash: '' },
    fault: { kind, number, message },
  };
}

/** The record before the next one; no hash: whatever the next one says. */
interface Previous {
  readonly number: number;
  readonly hash: string | undefined;
}

class Walk {
  readonly #chain: Chain;
  readonly #signal: AbortSignal;
  #ends: ChainEnds;
  #previous: Previous;
  #checked = 0;
  #first = 0;

  constructor(chain: Chain, ends: ChainEnds, signal: AbortSignal) {
    this.#chain = chain;
    this.#signal = signal;
    this.#ends = ends;
    this.#previous = ends.anchor;
  }

  async run({ from = 1, to = Number.MAX_SAFE_INTEGER }: VerifyRange): Promise<AuditVerification> {
    const first = Math.max(from, this.#ends.anchor.number + 1);
    const last = Math.min(to, this.#ends.end.number);
    if (first > this.#ends.anchor.number + 1) this.#previous = await this.#placeOf(first - 1);
    if (first <= last) this.#first = first;
    while (this.#previous.number < last) {
      if (this.#signal.aborted) {
        throw new DomainError('CANCELED', 'the verification was canceled');
      }
      const fault = await this.#page(last);
      if (fault !== undefined) return this.#found(fault);
      await breathe();
    }
    return this.#found(last === this.#ends.end.number ? await this.#checkEnd() : undefined);
  }

  async #placeOf(number: number): Promise<Previous> {
    const [stored] = await this.#chain.read(number, number);
    return { number, hash: stored?.kind === 'record' ? stored.record.hash : undefined };
  }

  async #page(last: number): Promise<AuditFault | undefined> {
    const first = this.#previous.number + 1;
    const page = await this.#chain.read(first, Math.min(last, first + PAGE - 1));
    for (const [at, stored] of page.entries()) {
      const number = first + at;
      const fault = this.#check(number, stored);
      if (fault === undefined) continue;
      // What retention deleted meanwhile is no fault: go on behind it.
      return fault.kind === 'missing' && (await this.#hasBeenDeleted(number)) ? undefined : fault;
    }
    return undefined;
  }

  async #hasBeenDeleted(number: number): Promise<boolean> {
    const ends = await readEnds(this.#chain);
    if (ends === undefined || ends.anchor.number < number) return false;
    this.#ends = { ...this.#ends, anchor: ends.anchor };
    this.#previous = ends.anchor;
    return true;
  }

  #check(number: number, stored: StoredRecord): AuditFault | undefined {
    const name = `record ${String(number)}`;
    if (stored.kind === 'missing')
      return { kind: 'missing', number, message: `${name} is missing` };
    if (stored.kind === 'malformed') {
      return { kind: 'malformed', number, message: `${name} is not a record of that number` };
    }
    const { record } = stored;
    if (!isGenuine(this.#chain.key, record)) {
      const message = `${name} is not as it was written, or was written with another secret`;
      return { kind: 'wrongHash', number, message };
    }
    const { hash } = this.#previous;
    if (hash !== undefined && record.previousHash !== hash) {
      const message = `${name} does not follow the record before it`;
      return { kind: 'wrongPreviousHash', number, message };
    }
    this.#previous = { number, hash: record.hash };
    this.#checked += 1;
    return undefined;
  }

  async #checkEnd(): Promise<AuditFault | undefined> {
    const { end } = this.#ends;
    const { number, hash } = this.#previous;
    if (hash !== undefined && hash !== end.hash) {
      const message = `record ${String(number)} is not the one that the chain ends with`;
      return { kind: 'wrongHash', number, message };
    }
    const highest = await findOutermost(this.#chain.engine, 'desc');
    const now = await readEnds(this.#chain);
    if (highest === undefined || now === undefined || highest.number <= now.end.number) {
      return undefined;
    }
    const message = `record ${String(highest.number)} lies behind the end of the chain`;
    return { kind: 'extra', number: highest.number, message };
  }

  #found(fault: AuditFault | undefined): AuditVerification {
    const { number, hash = '' } = this.#previous;
    const last = Math.max(fault?.number ?? 0, this.#first === 0 ? 0 : number);
    return { checked: this.#checked, first: this.#first, last, lastHash: hash, fault };
  }
}
