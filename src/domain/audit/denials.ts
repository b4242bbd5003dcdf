import { after, type StopTimer } from '../../platform/timers.ts';
import { bounded, type AuditEntry, type BoundedEntry } from './record.ts';

/** Merges what is noted in a stretch of time, so that a flood of it becomes few records. */
export interface Denials extends Disposable {
  /** False when too many different ones wait already: then it is not taken. */
  add(entry: AuditEntry): boolean;
  /** How many records wait to be made. */
  waiting(): number;
  /** Hands all that wait over, now. */
  flush(): void;
}

/** What merging needs. */
export interface DenialParts {
  /** How long equal ones are merged, in milliseconds. */
  readonly windowMs: number;
  /** Different ones that wait at once. */
  readonly waitingMax: () => number;
  readonly emit: (entries: readonly BoundedEntry[]) => void;
}

/** Different ones of one address in a window; what is beyond is merged whatever it says. */
const PER_ADDRESS_MAX = 32;

interface Merged {
  readonly entry: BoundedEntry;
  count: number;
}

/** Creates an empty merger. */
export function createDenials(parts: DenialParts): Denials {
  return new WindowOfDenials(parts);
}

class WindowOfDenials implements Denials {
  readonly #parts: DenialParts;
  readonly #merged = new Map<string, Merged>();
  readonly #perAddress = new Map<string, number>();
  #stopTimer: StopTimer | undefined;

  constructor(parts: DenialParts) {
    this.#parts = parts;
  }

  add(entry: AuditEntry): boolean {
    const whole = bounded(entry);
    const known = this.#merged.get(nameOf(whole));
    if (known !== undefined) {
      known.count += 1;
      return true;
    }
    const ofAddress = this.#perAddress.get(whole.address) ?? 0;
    return ofAddress < PER_ADDRESS_MAX ? this.#addNew(whole) : this.#addBlurred(whole);
  }

  waiting(): number {
    return this.#merged.size;
  }

  flush(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#merged.size === 0) return;
    const entries = [...this.#merged.values()].map(({ entry, count }) =>
      count === 1 ? entry : withCount(entry, count),
    );
    this.#merged.clear();
    this.#perAddress.clear();
    this.#parts.emit(entries);
  }

  [Symbol.dispose](): void {
    this.flush();
  }

  #addNew(entry: BoundedEntry): boolean {
    if (this.#merged.size >= this.#parts.waitingMax()) return false;
    this.#merged.set(nameOf(entry), { entry, count: 1 });
    this.#perAddress.set(entry.address, (this.#perAddress.get(entry.address) ?? 0) + 1);
    this.#stopTimer ??= after(this.#parts.windowMs, () => {
      this.flush();
    });
    return true;
  }

  /** One record for all the rest of an address, so that changing names do not make more of them. */
  #addBlurred(entry: BoundedEntry): boolean {
    const blurred = {
      ...{ ...entry, action: 'access.denied', actor: '', credentialId: '', resource: '*' },
      ...{ requestId: '', reason: '', details: { various: 'true' } },
    };
    const known = this.#merged.get(nameOf(blurred));
    if (known === undefined) return this.#addNew(blurred);
    known.count += 1;
    return true;
  }
}

/** What equal ones have in common; a reason and a note stand for themselves, so that none is told for another. */
function nameOf({ actor, address, action, resource, reason, details }: BoundedEntry): string {
  return JSON.stringify([actor, address, action, resource, reason, details['note']]);
}

/** The count comes first, so that it is never the detail that is left out. */
function withCount(entry: BoundedEntry, count: number): BoundedEntry {
  const { action, result } = entry;
  const details = { count: String(count), ...entry.details };
  return { ...entry, details: bounded({ action, result, details }).details };
}
