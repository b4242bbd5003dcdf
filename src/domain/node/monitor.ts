/**
 * What operators look at: the figures of the process and its store, the alerts that follow from them, the
 * last calls. It reads what the rooms tell of themselves and keeps only what needs a memory.
 */
import { hostname } from 'node:os';

import type { Reason } from '../../errors/reason.ts';
import type { Clock } from '../../platform/clock.ts';
import { readDisk, type DiskSpace } from '../../platform/disk.ts';
import type { Durations, RecentDurations } from '../../platform/durations.ts';
import type { EventLoopFigures, ProcessFigures } from '../../platform/process-figures.ts';
import { every } from '../../platform/timers.ts';
import type { EngineFigures, EngineHealth, LogHead, StorageEngine } from '../../storage/engine.ts';
import type { Archive } from '../snapshots/archive.ts';
import type { Snapshots } from '../snapshots/snapshots.ts';
import type { Watches, WatchFigures } from '../watch/watches.ts';
import type { Admission } from './admission.ts';
import type { Activity, EndedActivity } from './activity.ts';
import type { AlertReadings, AlertSeverity } from './alert-rules.ts';
import { createAlerts, type Alert, type Alerts } from './alerts.ts';
import type { CallFigures, MethodFigures } from './call-figures.ts';
import type { Incidents } from './incidents.ts';

/** The figures of one moment. */
export interface Stats {
  readonly methods: readonly MethodFigures[];
  readonly runningCalls: number;
  readonly health: EngineHealth;
  readonly head: LogHead;
  readonly engine: EngineFigures;
  /** Of the last minute. */
  readonly syncs: Durations;
  readonly disk: DiskSpace | undefined;
  readonly watches: WatchFigures;
  readonly residentBytes: number;
  readonly eventLoop: EventLoopFigures;
}

/** What runs where. */
export interface NodeInfo {
  readonly release: string;
  readonly node: string;
  readonly pid: number;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly runtime: string;
  readonly configFingerprint: string;
}

/** Watches over the server while it runs. */
export interface Monitor extends Disposable {
  stats(): Promise<Stats>;
  alerts(): readonly Alert[];
  raised(severity: AlertSeverity): number;
  /** The newest first. */
  activity(count: number): readonly EndedActivity[];
  info(): NodeInfo;
  /** Looks once, now, instead of waiting for the next look. */
  look(): Promise<void>;
}

/** What a monitor reads. */
export interface MonitorParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly snapshots: Pick<Snapshots, 'newestMs'>;
  readonly archive: Pick<Archive, 'archivedTo'> | undefined;
  readonly watches: Pick<Watches, 'figures'>;
  readonly calls: CallFigures;
  readonly activity: Activity;
  readonly incidents: Incidents;
  readonly admission: Pick<Admission, 'refused'>;
  readonly process: ProcessFigures;
  readonly syncs: RecentDurations;
  /** The directory of the store. */
  readonly directory: string;
  readonly archiveIntervalMs: number;
  /** Snapshots are taken by a schedule. */
  readonly isSnapshotScheduled: boolean;
  readonly release: string;
  readonly startedAtMs: number;
  /** That of now: some of a configuration changes while the server runs. */
  readonly configFingerprint: () => string;
  /** Told of each alert that began, changed or ended. */
  readonly onAlert: (alert: Alert) => void;
  /** Told of a look that failed; the next one tries again. */
  readonly onFailure: (error: unknown) => void;
}

const LOOK_MS = 5000;
const MINUTE_MS = 60_000;
const P99 = 0.99;

const REFUSED: readonly Reason[] = [
  'CREDENTIAL_INVALID',
  'CREDENTIAL_EXPIRED',
  'CREDENTIAL_REVOKED',
];

/** Starts to watch. */
export function startMonitor(parts: MonitorParts): Monitor {
  return new TimedMonitor(parts);
}

class TimedMonitor implements Monitor {
  readonly #parts: MonitorParts;
  readonly #alerts: Alerts;
  readonly #stopTimer: () => void;
  readonly #refusedLately: (total: number, nowMs: number) => number;
  readonly #turnedAwayLately: (total: number, nowMs: number) => number;
  #archived = { sequence: -1n, atMs: 0 };

  constructor(parts: MonitorParts) {
    this.#parts = parts;
    this.#alerts = createAlerts(parts.onAlert);
    this.#archived.atMs = parts.clock.monotonic();
    this.#refusedLately = ofLastMinute(this.#refused(), parts.clock.monotonic());
    this.#turnedAwayLately = ofLastMinute(parts.admission.refused, parts.clock.monotonic());
    this.#stopTimer = every(LOOK_MS, () => {
      this.look().catch(parts.onFailure);
    });
  }

  async stats(): Promise<Stats> {
    const { engine, calls, syncs, clock, directory, watches, process: figures } = this.#parts;
    return {
      ...{ methods: calls.methods(), runningCalls: calls.running },
      ...{ health: engine.health(), head: await engine.head(), engine: engine.figures() },
      ...{ syncs: syncs.recent(clock.monotonic()), disk: await readDisk(directory) },
      ...{ watches: watches.figures(), residentBytes: figures.residentBytes() },
      eventLoop: figures.eventLoop(),
    };
  }

  alerts(): readonly Alert[] {
    return this.#alerts.list();
  }

  raised(severity: AlertSeverity): number {
    return this.#alerts.raised(severity);
  }

  activity(count: number): readonly EndedActivity[] {
    return this.#parts.activity.recent(count);
  }

  info(): NodeInfo {
    const { release, startedAtMs } = this.#parts;
    const configFingerprint = this.#parts.configFingerprint();
    const runtime = `node ${process.versions.node}`;
    return { release, startedAtMs, configFingerprint, runtime, node: hostname(), pid: process.pid };
  }

  async look(): Promise<void> {
    this.#alerts.judge(await this.#read(), this.#parts.clock.now());
  }

  [Symbol.dispose](): void {
    this.#stopTimer();
  }

  async #read(): Promise<AlertReadings> {
    const { engine, clock, incidents, directory, syncs, admission, archiveIntervalMs } =
      this.#parts;
    const disk = await readDisk(directory);
    const recent = syncs.recent(clock.monotonic());
    return {
      isWritable: engine.health().state === 'ready',
      storeLagMs: engine.health().lagMs,
      diskFreeShare: disk && disk.freeBytes / disk.sizeBytes,
      eventLoopDelayP99Ms: this.#parts.process.eventLoop().delayP99Ms,
      syncP99Ms: recent.count === 0 ? undefined : recent.quantile(P99),
      archiveStalledMs: this.#archiveStalledMs(),
      archiveIntervalMs,
      snapshotAgeMs: await this.#snapshotAgeMs(),
      auditFailedMs: incidents.sinceLast('audit'),
      authFailures: this.#refusedLately(this.#refused(), clock.monotonic()),
      turnedAway: this.#turnedAwayLately(admission.refused, clock.monotonic()),
    };
  }

  #archiveStalledMs(): number | undefined {
    const { archive, engine, clock } = this.#parts;
    if (archive === undefined) return undefined;
    const { archivedTo } = archive;
    const hasAll = archivedTo >= engine.health().durableSequence;
    if (hasAll || archivedTo !== this.#archived.sequence) {
      this.#archived = { sequence: archivedTo, atMs: clock.monotonic() };
    }
    return clock.monotonic() - this.#archived.atMs;
  }

  async #snapshotAgeMs(): Promise<number | undefined> {
    const { snapshots, clock, isSnapshotScheduled, startedAtMs } = this.#parts;
    if (!isSnapshotScheduled) return undefined;
    return clock.now() - ((await snapshots.newestMs()) ?? startedAtMs);
  }

  #refused(): number {
    const failures = this.#parts.calls.failures();
    return REFUSED.reduce((sum, reason) => sum + (failures.get(reason) ?? 0), 0);
  }
}

/** How much of a total that only grows came in the last minute, by the looks of that minute. */
function ofLastMinute(start: number, startMs: number): (total: number, nowMs: number) => number {
  let looks = [{ atMs: startMs, total: start }];
  return (total, nowMs) => {
    looks = [...looks.filter(({ atMs }) => atMs > nowMs - MINUTE_MS), { atMs: nowMs, total }];
    return total - (looks[0]?.total ?? total);
  };
}
