/** What outlives collections of what is young, and so waits for a full one. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectYoung = runInNewContext('() => gc({ type: "minor" })') as () => void;

const MIB = 1024 * 1024;

/** Mebibytes that are left of many rounds, of which nothing is used any more. Young objects are collected every so many rounds. */
export function keptOf(round: () => unknown, rounds: number, every: number = rounds): number {
  const before = settledBytes();
  for (let at = 1; at <= rounds; at++) {
    round();
    if (at % every === 0) collectYoung();
  }
  return (settledBytes() - before) / MIB;
}

/** The same of rounds that end later, one after the other. */
export async function keptOfAsync(
  round: () => Promise<unknown>,
  rounds: number,
  every: number,
): Promise<number> {
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
