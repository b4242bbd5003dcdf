/** What outlives collections of what is young, and so waits for a full one. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectYoung = runInNewContext('() => gc({ type: "minor" })') as () => void;
/** A full collection. */
export const collectAll = runInNewContext('() => gc()') as () => void;

const MIB = 1024 * 1024;

/** Mebibytes that are left of many rounds, of which nothing is used any more. Young objects are collected every so many rounds. */
export async function keptOf(
  round: () => unknown,
  rounds: number,
  every: number = rounds,
): Promise<number> {
  // So that no full collection is due while it is measured.
  collectAll();
  const before = settledBytes();
  for (let at = 1; at <= rounds; at++) {
    await round();
    if (at % every === 0) collectYoung();
  }
  return (settledBytes() - before) / MIB;
}

function settledBytes(): number {
  collectYoung();
  collectYoung();
  return process.memoryUsage().heapUsed;
}
