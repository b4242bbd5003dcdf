import { ALERT_RULES, type AlertReadings, type AlertSeverity } from './alert-rules.ts';

/** Something that an operator should know. */
export interface Alert {
  /** The name of the rule. */
  readonly rule: string;
  readonly severity: AlertSeverity;
  readonly message: string;
  /** Unix milliseconds. */
  readonly raisedAtMs: number;
  /** Undefined: it is still so. */
  readonly clearedAtMs: number | undefined;
}

/** What is wrong, and what was. */
export interface Alerts {
  /** Judges the readings of a moment; tells of each alert that began, got worse or better, or ended. */
  judge(readings: AlertReadings, nowMs: number): void;
  /** Raised ones first, each group the newest first. */
  list(): readonly Alert[];
  /** How many are raised. */
  raised(severity: AlertSeverity): number;
}

/** Alerts that ended and are remembered. */
const CLEARED_MAX = 100;
/** An alert ends when its rule has found nothing so many times in a row. */
const QUIET_LOOKS = 3;

interface Raised {
  alert: Alert;
  quietLooks: number;
}

/** Creates alerts of which none is raised. */
export function createAlerts(tell: (alert: Alert) => void): Alerts {
  const raised = new Map<string, Raised>();
  let cleared: readonly Alert[] = [];

  function clear(rule: string, known: Raised, nowMs: number): void {
    known.quietLooks += 1;
    if (known.quietLooks < QUIET_LOOKS) return;
    raised.delete(rule);
    const alert = { ...known.alert, clearedAtMs: nowMs };
    cleared = [alert, ...cleared].slice(0, CLEARED_MAX);
    tell(alert);
  }

  return {
    judge(readings, nowMs) {
      for (const [rule, find] of Object.entries(ALERT_RULES)) {
        const finding = find(readings);
        const known = raised.get(rule);
        if (finding === undefined) {
          if (known !== undefined) clear(rule, known, nowMs);
          continue;
        }
        const raisedAtMs = known?.alert.raisedAtMs ?? nowMs;
        const alert: Alert = { rule, ...finding, raisedAtMs, clearedAtMs: undefined };
        raised.set(rule, { alert, quietLooks: 0 });
        if (known?.alert.severity !== finding.severity) tell(alert);
      }
    },
    list: () => [
      ...[...raised.values()].map(({ alert }) => alert).sort((a, b) => b.raisedAtMs - a.raisedAtMs),
      ...cleared,
    ],
    raised: (severity) =>
      [...raised.values()].filter(({ alert }) => alert.severity === severity).length,
  };
}
