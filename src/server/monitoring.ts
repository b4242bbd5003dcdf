import { createHash } from 'node:crypto';

import type { ServerConfig } from '../config/server-config.ts';
import type { Alert } from '../domain/node/alerts.ts';
import { startMonitor, type Monitor } from '../domain/node/monitor.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disposer } from '../platform/disposal.ts';
import type { Logger } from '../platform/logger.ts';
import { openWebhook, type Webhook } from '../platform/webhook.ts';
import type { StorageEngine } from '../storage/engine.ts';
import type { Domain } from './domain.ts';
import type { Observation } from './observation.ts';
import type { LiveSettings } from './reload.ts';
import { RELEASE } from './release.ts';

/** What is watched over. */
export interface MonitoringParts {
  readonly engine: StorageEngine;
  readonly domain: Domain;
  readonly observation: Observation;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rooms: Disposer;
  readonly startedAtMs: number;
  /** The settings of the moment. */
  readonly live: () => LiveSettings;
}

/** The monitor, and whom it tells. */
export interface Monitoring {
  readonly monitor: Monitor;
  /** Undefined: nobody is told. */
  readonly webhook: Webhook | undefined;
}

/** Starts to watch over the server. Alerts go to the log, and to the webhook when there is one. */
export function openMonitoring(config: ServerConfig, parts: MonitoringParts): Monitoring {
  const { engine, domain, observation, clock, logger, rooms, startedAtMs } = parts;
  const webhook = openAlertWebhook(config, parts);
  const { snapshots, archive, watches } = domain;
  const monitor = startMonitor({
    ...{ engine, clock, snapshots, archive, watches, ...observation },
    ...{ directory: config.dbPath, release: RELEASE, startedAtMs },
    archiveIntervalMs: config.archive?.intervalMs ?? 0,
    isSnapshotScheduled: config.snapshots.schedule !== undefined,
    configFingerprint: () => fingerprintOf({ ...config, ...parts.live() }),
    onAlert: (alert) => {
      tell(logger, alert);
      webhook?.send(alert.rule, messageOf(alert, monitor));
    },
    onFailure: (error) => {
      logger.error('the state of the server could not be judged', { error: String(error) });
    },
  });
  rooms.defer('the monitor', () => {
    monitor[Symbol.dispose]();
  });
  return { monitor, webhook };
}

function openAlertWebhook(
  { alertWebhook }: ServerConfig,
  { clock, logger, rooms }: MonitoringParts,
): Webhook | undefined {
  if (alertWebhook === undefined) return undefined;
  const webhook = openWebhook({
    ...{ ...alertWebhook, clock },
    onFailure: (problem) => {
      logger.error(`alert webhook: ${problem}`);
    },
  });
  rooms.defer('the webhook of alerts', async () => {
    await webhook[Symbol.asyncDispose]();
  });
  return webhook;
}

function tell(logger: Logger, { rule, severity, message, clearedAtMs }: Alert): void {
  if (clearedAtMs !== undefined) logger.info('alert cleared', { rule, severity, alert: message });
  else if (severity === 'critical') logger.error('alert', { rule, severity, alert: message });
  else logger.warn('alert', { rule, severity, alert: message });
}

/** What the webhook gets. */
function messageOf(alert: Alert, monitor: Monitor): object {
  const { rule, severity, message, raisedAtMs, clearedAtMs } = alert;
  const { node, release } = monitor.info();
  return {
    ...{ state: clearedAtMs === undefined ? 'raised' : 'cleared', rule, severity, message },
    raisedAt: new Date(raisedAtMs).toISOString(),
    ...(clearedAtMs === undefined ? {} : { clearedAt: new Date(clearedAtMs).toISOString() }),
    ...{ node, release },
  };
}

/** Members of the configuration that are secrets, wherever they are in it. */
const SECRETS: ReadonlySet<string> = new Set([
  ...['jwtSecret', 'previousJwtSecrets', 'rootPassword', 'encryptionKey', 'setupToken'],
  ...['password', 'clientSecret', 'secret', 'tls'],
]);

/** Equal for equal configurations; tells nothing of secrets, not even whether they are equal. */
export function fingerprintOf(config: ServerConfig): string {
  const text = JSON.stringify(config, (name, value: unknown) =>
    SECRETS.has(name) ? undefined : value,
  );
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
