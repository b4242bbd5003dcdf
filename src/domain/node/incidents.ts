import type { Clock } from '../../platform/clock.ts';

/** Work of the server itself that can fail while nobody waits for it. */
export const INCIDENT_KINDS = ['audit', 'archive', 'sweep', 'retention', 'operation'] as const;

/** One kind of such work. */
export type IncidentKind = (typeof INCIDENT_KINDS)[number];

/** Counts what failed while nobody waited for it. */
export interface Incidents {
  note(kind: IncidentKind): void;
  count(kind: IncidentKind): number;
  /** How long ago the last one was, in milliseconds; undefined: never. */
  sinceLast(kind: IncidentKind): number | undefined;
}

/** Creates a count of nothing. */
export function createIncidents(clock: Clock): Incidents {
  const known = new Map<IncidentKind, { count: number; lastMs: number }>();
  return {
    note(kind) {
      const count = (known.get(kind)?.count ?? 0) + 1;
      known.set(kind, { count, lastMs: clock.monotonic() });
    },
    count: (kind) => known.get(kind)?.count ?? 0,
    sinceLast(kind) {
      const last = known.get(kind);
      return last && clock.monotonic() - last.lastMs;
    },
  };
}
