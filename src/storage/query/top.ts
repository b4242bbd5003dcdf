/** Keeps the first items of an order while any number of them pass by. */
export interface TopCollector<T> {
  /** Takes an item; reports whether it was kept. */
  push(item: T): boolean;
  /** How many are held. */
  size(): number;
  /** The last of those held, once `capacity` are held; undefined before. */
  last(): T | undefined;
  /** Those held, first to last. */
  sorted(): T[];
}

/**
 * Creates a collector of at most `capacity` items, a positive integer: a binary heap with the last
 * item on top, so that each push costs at most log2(capacity) comparisons.
 */
export function createTopCollector<T>(
  capacity: number,
  compare: (a: T, b: T) => number,
): TopCollector<T> {
  const heap: T[] = [];

  function isAfter(a: number, b: number): boolean {
    const left = heap[a];
    const right = heap[b];
    return left !== undefined && right !== undefined && compare(left, right) > 0;
  }

  function swap(a: number, b: number): void {
    const left = heap[a];
    const right = heap[b];
    if (left === undefined || right === undefined) return;
    heap[a] = right;
    heap[b] = left;
  }

  function rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isAfter(at, parent)) return;
      swap(at, parent);
      at = parent;
    }
  }

  function sink(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const largest = isAfter(left + 1, left) ? left + 1 : left;
      if (!isAfter(largest, at)) return;
      swap(at, largest);
      at = largest;
    }
  }

  return {
    size: () => heap.length,
    last: () => (heap.length < capacity ? undefined : heap[0]),
    push(item) {
      if (heap.length < capacity) {
        heap.push(item);
        rise(heap.length - 1);
        return true;
      }
      const [last] = heap;
      if (last === undefined || compare(item, last) >= 0) return false;
      heap[0] = item;
      sink();
      return true;
    },
    sorted: () => [...heap].sort(compare),
  };
}
