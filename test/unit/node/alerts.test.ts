import { describe, expect, it } from 'vitest';

import { ALERT_RULES, type AlertReadings } from '../../../src/domain/node/alert-rules.ts';
import { createAlerts, type Alert } from '../../../src/domain/node/alerts.ts';

const FINE: AlertReadings = {
  storeLagMs: undefined,
  ...{ isWritable: true, diskFreeShare: 0.5, eventLoopDelayP99Ms: 5, syncP99Ms: 10 },
  ...{ archiveStalledMs: 0, archiveIntervalMs: 60_000, snapshotAgeMs: 0 },
  ...{ auditFailedMs: undefined, authFailures: 0, turnedAway: 0 },
};

type Case = readonly [
  rule: string,
  field: keyof AlertReadings,
  fine: unknown,
  warning?: unknown,
  critical?: unknown,
];

/** Each rule: what is just fine, what is a warning, what is critical. */
const CASES: readonly Case[] = [
  ['storeReadOnly', 'isWritable', true, undefined, false],
  ['storeLag', 'storeLagMs', 1999, 2000, 3000],
  ['diskSpace', 'diskFreeShare', 0.15, 0.149, 0.049],
  ['eventLoopDelay', 'eventLoopDelayP99Ms', 199, 200, 1000],
  ['slowDisk', 'syncP99Ms', 249, 250, 2000],
  ['archiveLag', 'archiveStalledMs', 179_999, undefined, 180_000],
  ['snapshotAge', 'snapshotAgeMs', 26 * 3_600_000 - 1, 26 * 3_600_000],
  ['auditFailing', 'auditFailedMs', 60_000, undefined, 59_999],
  ['overload', 'turnedAway', 0, undefined, 1],
  ['authFailures', 'authFailures', 99, 100],
];

function severityOf(rule: string, field: keyof AlertReadings, value: unknown): string | undefined {
  return ALERT_RULES[rule]?.({ ...FINE, [field]: value })?.severity;
}

describe('rules', () => {
  it('are all tried here', () => {
    expect(CASES.map(([rule]) => rule)).toEqual(Object.keys(ALERT_RULES));
  });

  it.each(CASES.map((one) => [one[0], one] as const))('%s judges at its bounds', (_, one) => {
    const [rule, field, fine, warning, critical] = one;
    expect(severityOf(rule, field, fine)).toBeUndefined();
    if (warning !== undefined) expect(severityOf(rule, field, warning)).toBe('warning');
    if (critical !== undefined) expect(severityOf(rule, field, critical)).toBe('critical');
  });

  it('find nothing wrong where there is nothing to look at', () => {
    const nothing: AlertReadings = {
      ...{ ...FINE, diskFreeShare: undefined, syncP99Ms: undefined, archiveStalledMs: undefined },
      ...{ snapshotAgeMs: undefined },
    };
    expect(Object.values(ALERT_RULES).map((rule) => rule(nothing))).toEqual(
      Object.values(ALERT_RULES).map(() => undefined),
    );
  });
});

describe('alerts', () => {
  it('begin at once, tell when they get worse, and end after three quiet looks', () => {
    const told: Alert[] = [];
    const alerts = createAlerts((alert) => told.push(alert));
    const bad = { ...FINE, diskFreeShare: 0.1 };
    alerts.judge(bad, 1);
    alerts.judge(bad, 2);
    alerts.judge({ ...FINE, diskFreeShare: 0.01 }, 3);
    expect(told.map(({ severity }) => severity)).toEqual(['warning', 'critical']);
    expect(alerts.list()).toMatchObject([{ rule: 'diskSpace', raisedAtMs: 1 }]);
    expect([alerts.raised('warning'), alerts.raised('critical')]).toEqual([0, 1]);
    for (const nowMs of [4, 5]) alerts.judge(FINE, nowMs);
    alerts.judge({ ...FINE, diskFreeShare: 0.01 }, 6);
    for (const nowMs of [7, 8]) alerts.judge(FINE, nowMs);
    expect(told).toHaveLength(2);
    alerts.judge(FINE, 9);
    expect(told.at(-1)).toMatchObject({ raisedAtMs: 1, clearedAtMs: 9 });
    expect(alerts.list()).toMatchObject([{ clearedAtMs: 9 }]);
  });

  it('remember the last hundred that ended', () => {
    const alerts = createAlerts(() => undefined);
    for (let n = 0; n < 150; n++) {
      alerts.judge({ ...FINE, authFailures: 500 }, n * 10);
      for (const add of [1, 2, 3]) alerts.judge(FINE, n * 10 + add);
    }
    expect(alerts.list()).toHaveLength(100);
    expect(alerts.list()[0]).toMatchObject({ raisedAtMs: 1490 });
  });
});
