/**
 * Who may read the log beside the feed at one time. Whoever lags holds what it has read until its caller
 * takes it, so that the number of readers bounds the memory of all who lag; a bound for each subject keeps
 * one who never reads from holding up the others.
 */
export interface CatchUpSlots {
  /** Waits for a turn; undefined when it was canceled first. Call what it gives when the turn is over. */
  acquire(subject: string): SlotRequest;
}

/** A turn that was asked for. */
export interface SlotRequest {
  readonly granted: Promise<(() => void) | undefined>;
  cancel(): void;
}

const SLOTS_MAX = 64;
const SLOTS_PER_SUBJECT_MAX = 8;

interface Waiting {
  readonly subject: string;
  readonly grant: (release: (() => void) | undefined) => void;
}

/** Creates the slots of a feed. */
export function createCatchUpSlots(): CatchUpSlots {
  return new SubjectSlots();
}

class SubjectSlots implements CatchUpSlots {
  readonly #held = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
  #total = 0;

  acquire(subject: string): SlotRequest {
    let waiting: Waiting | undefined;
    const granted = new Promise<(() => void) | undefined>((resolve) => {
      waiting = { subject, grant: resolve };
      this.#waiting.add(waiting);
    });
    this.#next();
    return {
      granted,
      cancel: () => {
        if (waiting !== undefined && this.#waiting.delete(waiting)) waiting.grant(undefined);
      },
    };
  }

  #next(): void {
    for (const waiting of this.#waiting) {
      if (this.#total >= SLOTS_MAX) return;
      const held = this.#held.get(waiting.subject) ?? 0;
      if (held >= SLOTS_PER_SUBJECT_MAX) continue;
      this.#waiting.delete(waiting);
      this.#held.set(waiting.subject, held + 1);
      this.#total += 1;
      waiting.grant(this.#releaseOf(waiting.subject));
    }
  }

  #releaseOf(subject: string): () => void {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const held = (this.#held.get(subject) ?? 1) - 1;
      if (held === 0) this.#held.delete(subject);
      else this.#held.set(subject, held);
      this.#total -= 1;
      this.#next();
    };
  }
}
