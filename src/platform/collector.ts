import { setFlagsFromString } from 'node:v8';

/** How much of what lives after a full collection may be added to it before the next: three times in all. */
const GROWTH_PERCENT = 200;

/**
 * Has V8 collect everything only when what is old has grown to three times what lived after the last time, for the
 * whole process and for good; near the limit of the heap it does so sooner, as ever. Left to itself a process that lives long collects
 * everything for each 8 to 10 MB that became old, however large it is: on one core that holds calls up for 150 ms, every
 * 2 s. The option `--heap-growing-percent` is read whenever V8 computes when the next is due, so that it may be set
 * while the process runs.
 */
export function collectAllRarely(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT.toString()}`);
}
