/** Those that come and go. */
export interface Roster<T> extends Iterable<T> {
  readonly size: number;
  /** Takes one in; call what it gives when it goes. Twice is harmless. */
  add(one: T): () => void;
}

interface Place<T> {
  readonly one: T;
  at: number;
}

/**
 * Creates an empty roster, for what comes and goes with every call or connection. A Map or a Set is no place for these: V8 links
 * each table that one of them has outgrown to the next, so that a single one in old space keeps, until the next full
 * collection, everything that came after it (`SetNextTable` in its `objects/ordered-hash-table.cc`).
 */
export function createRoster<T>(): Roster<T> {
  return new Places();
}

class Places<T> implements Roster<T> {
  readonly #places: Place<T>[] = [];

  get size(): number {
    return this.#places.length;
  }

  add(one: T): () => void {
    const place: Place<T> = { one, at: this.#places.length };
    this.#places.push(place);
    return () => {
      this.#leave(place);
    };
  }

  /** Those who are here now; whoever goes or comes meanwhile changes nothing of it. In no order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#places.map(({ one }) => one).values();
  }

  /** The last one takes its place. */
  #leave(place: Place<T>): void {
    if (this.#places[place.at] !== place) return;
    const last = this.#places.pop();
    if (last === undefined || last === place) return;
    this.#places[place.at] = last;
    last.at = place.at;
  }
}
