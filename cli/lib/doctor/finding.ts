/** How one look at something went. */
export interface Finding {
  readonly area: 'configuration' | 'server';
  /** What was looked at. */
  readonly name: string;
  readonly verdict: 'ok' | 'warn' | 'FAIL';
  /** What was found, and for what is not ok, how to mend it. */
  readonly detail: string;
}

/** Makes findings of one area. */
export type Find = (name: string, verdict: Finding['verdict'], detail: string) => Finding;

/** Creates a maker of findings. */
export function findIn(area: Finding['area']): Find {
  return (name, verdict, detail) => ({ area, name, verdict, detail });
}

/** One line of the report. */
export function lineOf({ area, name, verdict, detail }: Finding): string {
  return `${verdict.padEnd(4)}  ${area}: ${name}${detail === '' ? '' : `: ${detail}`}`;
}
