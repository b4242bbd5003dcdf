/**
 * Which thread does which read, in memory that all of them share. A read is offered in a slot, to one
 * thread or to several; the first that takes it does it, and the others pass over it. So threads have
 * something to do while the main loop is busy, and nothing waits behind a long read while another thread
 * has time. Whoever offered it may withdraw it at any time.
 */

/** A read and its slot. */
export interface Offer {
  readonly slot: number;
  /** At least 1; another one for each read, so that what is left of an earlier one in the slot is known as such. */
  readonly id: number;
}

/** The slots, as one thread sees them. A slot has another offer only when the one before is over. */
export interface Claims {
  offer(offer: Offer): void;
  /** Takes it for a thread, from 1 on; false when it was taken or withdrawn before. */
  take(offer: Offer, thread: number): boolean;
  isTakenBy(offer: Offer, thread: number): boolean;
  isTaken(offer: Offer): boolean;
  /** Nobody takes it any more; false when somebody had, who then stops at the next look. */
  withdraw(offer: Offer): boolean;
  /** It was withdrawn after it had been taken. */
  isWithdrawn(offer: Offer): boolean;
}

/** The numbers of a slot: the id, then the negative number of the thread that took it; the id that shall stop. */
const [STATE, STOP, NUMBERS] = [0, 1, 2];
const WITHDRAWN = 0;

/** Makes room for some reads at once. */
export function createClaims(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * NUMBERS * Int32Array.BYTES_PER_ELEMENT);
}

/** Opens what `createClaims` has made. */
export function openClaims(shared: SharedArrayBuffer): Claims {
  const numbers = new Int32Array(shared);
  const at = ({ slot }: Offer, number: number): number => slot * NUMBERS + number;
  const stateOf = (offer: Offer): number => Atomics.load(numbers, at(offer, STATE));
  const exchange = (offer: Offer, state: number): boolean =>
    Atomics.compareExchange(numbers, at(offer, STATE), offer.id, state) === offer.id;
  return {
    isTaken: (offer) => stateOf(offer) < 0,
    isTakenBy: (offer, thread) => stateOf(offer) === -thread,
    isWithdrawn: (offer) => Atomics.load(numbers, at(offer, STOP)) === offer.id,
    offer(offer) {
      Atomics.store(numbers, at(offer, STATE), offer.id);
    },
    take: (offer, thread) => exchange(offer, -thread),
    withdraw(offer) {
      const isOpen = exchange(offer, WITHDRAWN);
      if (!isOpen) Atomics.store(numbers, at(offer, STOP), offer.id);
      return isOpen;
    },
  };
}
