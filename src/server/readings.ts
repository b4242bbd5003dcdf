/** Where each metric comes from: what the rooms tell of themselves, read when a scraper asks. */
import { getOption } from '@bufbuild/protobuf';

import { AuthService } from '../../gen/molten/v1/auth_pb.ts';
import { audit as auditRule } from '../../gen/molten/v1/options_pb.ts';
import { OK } from '../domain/node/call-figures.ts';
import { INCIDENT_KINDS } from '../domain/node/incidents.ts';
import { createOldestEntry } from '../domain/node/log-age.ts';
import { readDisk } from '../platform/disk.ts';
import type { Sample } from '../platform/metrics.ts';
import { nameOf } from '../protocol/dispatcher.ts';
import type { Reason } from '../errors/reason.ts';
import type { StorageEngine } from '../storage/engine.ts';
import type { Domain } from './domain.ts';
import type { Monitoring } from './monitoring.ts';
import type { Observation } from './observation.ts';
import { RELEASE } from './release.ts';

/** What is read. */
export interface ReadingParts {
  readonly observation: Observation;
  readonly engine: StorageEngine;
  readonly domain: Domain;
  readonly monitoring: Monitoring;
  readonly directory: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly nowMs: () => number;
}

const MS_PER_SECOND = 1000;

/** Failures that are about who calls. */
const AUTH_REASONS: readonly Reason[] = [
  ...(['CREDENTIAL_MISSING', 'CREDENTIAL_INVALID', 'CREDENTIAL_EXPIRED'] as const),
  ...(['CREDENTIAL_REVOKED', 'SCOPE_MISSING'] as const),
];

/** The methods by which somebody signs in with a password. */
const LOGINS: ReadonlySet<string> = new Set(
  AuthService.methods
    .filter((method) => getOption(method, auditRule).action === 'session.login')
    .map(nameOf),
);

/** Ties every metric that is read on demand to its source. */
export function registerReadings(parts: ReadingParts): void {
  registerCalls(parts);
  registerStore(parts);
  registerKeeping(parts);
  registerPeople(parts);
  registerAlerts(parts);
  registerProcess(parts);
}

function registerCalls({ observation: { metrics, calls, admission } }: ReadingParts): void {
  metrics.read('molten_rpc_requests_total', () =>
    calls.counts().map(({ count, ...labels }): Sample => [labels, count]),
  );
  metrics.read('molten_rpc_failures_total', () =>
    [...calls.failures()].map(([reason, count]): Sample => [{ reason }, count]),
  );
  metrics.read('molten_rpc_in_flight', () => calls.running);
  metrics.read('molten_auth_failures_total', () =>
    AUTH_REASONS.map((reason): Sample => [{ reason }, calls.failures().get(reason) ?? 0]),
  );
  metrics.read('molten_turned_away_total', () => admission.refused);
  metrics.read('molten_turned_away_ratio', () => admission.share);
  metrics.read('molten_logins_total', () => {
    const attempts = calls.counts().filter(({ method }) => LOGINS.has(method));
    const good = attempts.filter(({ code }) => code === OK);
    const [all, done] = [attempts, good].map((some) =>
      some.reduce((sum, { count }) => sum + count, 0),
    );
    return [
      [{ result: 'success' }, done ?? 0],
      [{ result: 'failure' }, (all ?? 0) - (done ?? 0)],
    ];
  });
}

function registerStore(parts: ReadingParts): void {
  const { engine, directory, nowMs } = parts;
  const { metrics } = parts.observation;
  metrics.read('molten_commits_total', () => engine.figures().commits);
  metrics.read('molten_write_queue_bytes', () => engine.health().queuedBytes);
  metrics.read('molten_reader_queue', () =>
    engine.figures().readers.map(({ pool, waiting }): Sample => [{ pool }, waiting]),
  );
  metrics.read('molten_reader_busy', () =>
    engine.figures().readers.map(({ pool, busy }): Sample => [{ pool }, busy]),
  );
  metrics.read('molten_cache_hits_total', () => engine.figures().cacheHits);
  metrics.read('molten_cache_misses_total', () => engine.figures().cacheMisses);
  metrics.read('molten_cache_documents', () => engine.figures().cachedDocuments);
  metrics.read('molten_cache_bytes', () => engine.figures().cachedBytes);
  metrics.read('molten_cache_limit_bytes', () => engine.figures().cachedBytesMax);
  metrics.read('molten_log_head_sequence', () => Number(engine.health().lastSequence));
  metrics.read('molten_log_durable_sequence', () => Number(engine.health().durableSequence));
  metrics.read('molten_log_floor_sequence', async () => Number((await engine.head()).oldest));
  const oldestEntry = createOldestEntry(engine);
  metrics.read('molten_log_oldest_age_seconds', async () => {
    const atMs = await oldestEntry();
    return atMs === undefined ? undefined : (nowMs() - atMs) / MS_PER_SECOND;
  });
  metrics.read('molten_history_bytes', () => engine.health().historyBytes);
  metrics.read('molten_store_bytes', () => engine.health().storedBytes);
  metrics.read('molten_store_writable', () => (engine.health().state === 'ready' ? 1 : 0));
  metrics.read('molten_store_lag_seconds', () => {
    const { lagMs } = engine.health();
    return lagMs === undefined ? undefined : lagMs / MS_PER_SECOND;
  });
  metrics.read('molten_disk_free_bytes', async () => (await readDisk(directory))?.freeBytes);
  metrics.read('molten_disk_size_bytes', async () => (await readDisk(directory))?.sizeBytes);
  metrics.read('molten_collections', async () => (await collectionsOf(engine)).length);
  metrics.read('molten_documents', async () =>
    (await collectionsOf(engine)).reduce((sum, { documents }) => sum + documents, 0),
  );
}

async function collectionsOf(
  engine: StorageEngine,
): Promise<readonly { readonly documents: number }[]> {
  return (await engine.collections()).filter(({ name }) => !name.startsWith('$'));
}

function registerKeeping({ observation, engine, domain, nowMs }: ReadingParts): void {
  const { metrics, sweeps, incidents } = observation;
  const { snapshots, archive, audit, watches } = domain;
  metrics.read('molten_snapshots', async () => (await snapshots.times()).length);
  metrics.read('molten_snapshot_newest_age_seconds', async () => {
    const newestMs = await snapshots.newestMs();
    return newestMs === undefined ? undefined : (nowMs() - newestMs) / MS_PER_SECOND;
  });
  metrics.read('molten_archive_lag_entries', () =>
    archive === undefined
      ? undefined
      : Number(engine.health().durableSequence - archive.archivedTo),
  );
  metrics.read('molten_sweeps_total', () => sweeps.count);
  metrics.read('molten_swept_documents_total', () => sweeps.documents);
  metrics.read('molten_background_failures_total', () =>
    INCIDENT_KINDS.map((kind): Sample => [{ kind }, incidents.count(kind)]),
  );
  metrics.read('molten_audit_records_total', () => audit.figures().written);
  metrics.read('molten_audit_dropped_total', () => audit.figures().dropped);
  metrics.read('molten_watchers', () =>
    Object.entries(watches.figures().running).map(([state, count]): Sample => [{ state }, count]),
  );
  metrics.read('molten_watches_ended_total', () =>
    Object.entries(watches.figures().ended).map(([reason, count]): Sample => [{ reason }, count]),
  );
  metrics.read('molten_watch_held_characters', () => {
    const { ring, catchUp } = watches.figures().heldChars;
    return [
      [{ place: 'ring' }, ring],
      [{ place: 'catch_up' }, catchUp],
    ];
  });
  metrics.read('molten_watch_pending_entries', () => watches.figures().pendingEntries);
}

function registerPeople({ observation: { metrics }, engine, domain }: ReadingParts): void {
  const documentsIn = async (collection: string): Promise<number> =>
    (await engine.findCollection(collection))?.documents ?? 0;
  metrics.read('molten_users', () => documentsIn('$users'));
  metrics.read('molten_sessions', () => documentsIn('$sessions'));
  metrics.read('molten_tokens', () => documentsIn('$tokens'));
  metrics.read('molten_api_keys', () => documentsIn('$apiKeys'));
  metrics.read('molten_password_hashes_running', () => domain.access.passwordLoad().running);
  metrics.read('molten_password_hashes_waiting', () => domain.access.passwordLoad().waiting);
}

function registerAlerts({ observation: { metrics }, monitoring }: ReadingParts): void {
  const { monitor, webhook } = monitoring;
  metrics.read('molten_alerts', () =>
    (['warning', 'critical'] as const).map((severity): Sample => [
      { severity },
      monitor.raised(severity),
    ]),
  );
  metrics.read('molten_alert_webhook_deliveries_total', () => {
    const { success, failure } = webhook?.deliveries() ?? { success: 0, failure: 0 };
    return [
      [{ result: 'success' }, success],
      [{ result: 'failure' }, failure],
    ];
  });
}

function registerProcess({ observation, startedAtMs }: ReadingParts): void {
  const { metrics, process: figures } = observation;
  const runtime = `node ${process.versions.node}`;
  metrics.read('molten_build_info', () => [[{ release: RELEASE, runtime }, 1]]);
  metrics.read(
    'molten_event_loop_delay_p50_seconds',
    () => figures.eventLoop().delayP50Ms / MS_PER_SECOND,
  );
  metrics.read(
    'molten_event_loop_delay_p99_seconds',
    () => figures.eventLoop().delayP99Ms / MS_PER_SECOND,
  );
  metrics.read('molten_event_loop_utilization_ratio', () => figures.eventLoop().utilization);
  metrics.read('molten_gc_duration_seconds_total', () =>
    figures.gc().map(({ kind, seconds }): Sample => [{ kind }, seconds]),
  );
  metrics.read('molten_gc_runs_total', () =>
    figures.gc().map(({ kind, runs }): Sample => [{ kind }, runs]),
  );
  metrics.read('molten_process_cpu_seconds_total', () => figures.cpuSeconds());
  metrics.read('molten_process_resident_bytes', () => figures.residentBytes());
  metrics.read('molten_process_heap_used_bytes', () => figures.heapUsedBytes());
  metrics.read('molten_process_open_fds', () => figures.openFiles());
  metrics.read('molten_process_start_time_seconds', () => startedAtMs / MS_PER_SECOND);
}
