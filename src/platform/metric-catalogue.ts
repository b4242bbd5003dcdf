/**
 * Every metric of the server: its name, kind, labels and meaning. `docs/reference/metrics.md` is made from
 * this table, and nothing can be registered that is not in it. Labels take values of closed sets alone
 * (methods of the contract, protocols, codes, reasons, states), never what a caller sends.
 */

/** One metric. */
export interface MetricSpec {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Which bounds a histogram has. */
  readonly buckets?: keyof typeof BUCKETS;
}

/** Upper bounds of histograms, ascending, in the unit of their names. */
export const BUCKETS = {
  seconds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  sizes: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
} as const;

/** All metrics by name. Names are stable: a change of one is a breaking change. */
export const METRICS = {
  molten_build_info: {
    kind: 'gauge',
    labels: ['release', 'runtime'],
    help: 'Always 1; the release and the runtime.',
  },

  molten_rpc_requests_total: {
    kind: 'counter',
    labels: ['method', 'protocol', 'code'],
    help: 'Calls that are over, by method, protocol and code; `ok` for success. A stream counts when it ends.',
  },
  molten_rpc_failures_total: {
    kind: 'counter',
    labels: ['reason'],
    help: 'Calls that failed, by reason of the catalogue of errors.',
  },
  molten_rpc_duration_seconds: {
    kind: 'histogram',
    labels: ['method'],
    buckets: 'seconds',
    help: 'How long calls took; streams until their end.',
  },
  molten_rpc_in_flight: {
    kind: 'gauge',
    labels: [],
    help: 'Calls that are not over yet, streams included.',
  },
  molten_auth_failures_total: {
    kind: 'counter',
    labels: ['reason'],
    help: 'Calls refused for their credential or their scopes.',
  },
  molten_logins_total: {
    kind: 'counter',
    labels: ['result'],
    help: 'Attempts to sign in, by how they ended; one that asks for a second factor is a success.',
  },
  molten_rate_limited_total: {
    kind: 'counter',
    labels: [],
    help: 'Requests and calls refused with RATE_LIMITED, for whatever reason.',
  },
  molten_rate_limit_refusals_total: {
    kind: 'counter',
    labels: ['limit'],
    help: 'Requests and calls refused for their rate, by the limit that they met; `ban` for banned addresses.',
  },
  molten_rate_limit_counters: {
    kind: 'gauge',
    labels: [],
    help: 'Addresses, users and tokens whose calls are counted; the least recently seen are forgotten first.',
  },
  molten_bans: { kind: 'gauge', labels: [], help: 'Addresses that are banned now.' },
  molten_bans_total: { kind: 'counter', labels: [], help: 'Bans that began.' },
  molten_connections: { kind: 'gauge', labels: [], help: 'Open connections.' },
  molten_connections_refused_total: {
    kind: 'counter',
    labels: ['limit'],
    help: 'Connections closed at once: beyond the limit of all (`total`) or of their address (`address`).',
  },
  molten_buffered_bytes: {
    kind: 'gauge',
    labels: ['kind'],
    help: 'What is kept of bodies that are not complete (`bodies`) and of answers that nobody has taken (`answers`).',
  },
  molten_buffered_cut_total: {
    kind: 'counter',
    labels: ['kind'],
    help: 'Connections and streams cut off because they had most of it.',
  },
  molten_limit: {
    kind: 'gauge',
    labels: ['option'],
    help: 'The bounds of calls, connections and requests as they are now, by option and in its unit; 0: none.',
  },
  molten_turned_away_total: {
    kind: 'counter',
    labels: [],
    help: 'Requests turned away before they became calls, because the event loop was late.',
  },
  molten_turned_away_ratio: {
    kind: 'gauge',
    labels: [],
    help: 'The share of requests that is turned away now, 0 to 1.',
  },

  molten_commits_total: {
    kind: 'counter',
    labels: [],
    help: 'Transactions committed, those of the server itself included.',
  },
  molten_commit_duration_seconds: {
    kind: 'histogram',
    labels: [],
    buckets: 'seconds',
    help: 'From handing a group of transactions to its answer.',
  },
  molten_commit_group_size: {
    kind: 'histogram',
    labels: [],
    buckets: 'sizes',
    help: 'Transactions that shared one commit.',
  },
  molten_fsync_duration_seconds: {
    kind: 'histogram',
    labels: [],
    buckets: 'seconds',
    help: 'How long a commit that waits for the disk took to get there.',
  },
  molten_write_queue_bytes: { kind: 'gauge', labels: [], help: 'What waits to be committed.' },
  molten_reader_queue: { kind: 'gauge', labels: ['pool'], help: 'Reads that wait for a thread.' },
  molten_reader_busy: { kind: 'gauge', labels: ['pool'], help: 'Reader threads at work.' },
  molten_cache_hits_total: {
    kind: 'counter',
    labels: [],
    help: 'Documents read by key that were in memory.',
  },
  molten_cache_misses_total: {
    kind: 'counter',
    labels: [],
    help: 'Documents read by key, one at a time, that were not.',
  },
  molten_cache_documents: {
    kind: 'gauge',
    labels: [],
    help: 'Documents in memory, of those read by key.',
  },
  molten_cache_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'Their memory: two bytes a character, and 512 a document.',
  },
  molten_cache_limit_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'What that may be: --cache-size, or 0 when none is kept.',
  },
  molten_log_head_sequence: { kind: 'gauge', labels: [], help: 'The newest committed sequence.' },
  molten_log_durable_sequence: {
    kind: 'gauge',
    labels: [],
    help: 'Everything up to this sequence is on disk.',
  },
  molten_log_floor_sequence: {
    kind: 'gauge',
    labels: [],
    help: 'The lowest sequence that can be read at or resumed after.',
  },
  molten_log_oldest_age_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'The age of the oldest entry that the log still has: how far back the past can be read, watched from and restored.',
  },
  molten_history_bytes: { kind: 'gauge', labels: [], help: 'Bodies that only the past needs.' },
  molten_store_bytes: { kind: 'gauge', labels: [], help: 'The size of the store on disk.' },
  molten_store_lag_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'Since the database of the store was last heard of. Absent for a store in a directory.',
  },
  molten_store_writable: {
    kind: 'gauge',
    labels: [],
    help: '1 while writes are taken, 0 after the store failed or closed.',
  },
  molten_disk_free_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'What is free for the server on the disk of the store.',
  },
  molten_disk_size_bytes: { kind: 'gauge', labels: [], help: 'The size of the disk of the store.' },
  molten_collections: {
    kind: 'gauge',
    labels: [],
    help: 'Collections, without those of the system.',
  },
  molten_documents: { kind: 'gauge', labels: [], help: 'Documents in them.' },

  molten_snapshots: { kind: 'gauge', labels: [], help: 'Snapshots that are kept.' },
  molten_snapshot_newest_age_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'The age of the newest one that any node took. Absent: there is none.',
  },
  molten_archive_lag_entries: {
    kind: 'gauge',
    labels: [],
    help: 'Entries on disk that are not archived yet. Absent without an archive.',
  },
  molten_sweeps_total: { kind: 'counter', labels: [], help: 'Sweeps of what has expired.' },
  molten_swept_documents_total: {
    kind: 'counter',
    labels: [],
    help: 'Expired documents that were removed one by one.',
  },
  molten_background_failures_total: {
    kind: 'counter',
    labels: ['kind'],
    help: 'Work of the server itself that failed, by kind.',
  },
  molten_metric_failures_total: {
    kind: 'counter',
    labels: [],
    help: 'Readings of metrics that failed, as when the database is away. A metric that cannot be read has no sample; the log names it.',
  },

  molten_audit_records_total: { kind: 'counter', labels: [], help: 'Audit records written.' },
  molten_audit_dropped_total: {
    kind: 'counter',
    labels: [],
    help: 'Refusals that were only counted, for too many came.',
  },

  molten_users: { kind: 'gauge', labels: [], help: 'Users.' },
  molten_sessions: { kind: 'gauge', labels: [], help: 'Sessions that are kept.' },
  molten_tokens: { kind: 'gauge', labels: [], help: 'Delegated tokens that are kept.' },
  molten_api_keys: { kind: 'gauge', labels: [], help: 'API keys.' },
  molten_password_hashes_running: {
    kind: 'gauge',
    labels: [],
    help: 'Passwords being hashed (Argon2).',
  },
  molten_password_hashes_waiting: {
    kind: 'gauge',
    labels: [],
    help: 'Passwords that wait to be hashed.',
  },

  molten_watchers: {
    kind: 'gauge',
    labels: ['state'],
    help: 'Watches that run, by what they do now.',
  },
  molten_watches_ended_total: {
    kind: 'counter',
    labels: ['reason'],
    help: 'Watches that ended, by why.',
  },
  molten_watch_held_characters: {
    kind: 'gauge',
    labels: ['place'],
    help: 'Characters of bodies in memory for watches: recent ones, once for all (ring), and those read for watches that lag (catch_up).',
  },
  molten_watch_pending_entries: {
    kind: 'gauge',
    labels: [],
    help: 'Entries of the log that were read for watches and are not told yet, of all together.',
  },

  molten_alerts: {
    kind: 'gauge',
    labels: ['severity'],
    help: 'Alerts that are raised, by severity.',
  },
  molten_alert_webhook_deliveries_total: {
    kind: 'counter',
    labels: ['result'],
    help: 'Attempts to tell of alerts.',
  },

  molten_event_loop_delay_p50_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'Delay of the event loop, of the last ten seconds.',
  },
  molten_event_loop_delay_p99_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'Delay of the event loop, of the last ten seconds.',
  },
  molten_event_loop_utilization_ratio: {
    kind: 'gauge',
    labels: [],
    help: 'Its share of busy time, of the last ten seconds.',
  },
  molten_gc_duration_seconds_total: {
    kind: 'counter',
    labels: ['kind'],
    help: 'Time spent collecting garbage.',
  },
  molten_gc_runs_total: { kind: 'counter', labels: ['kind'], help: 'Garbage collections.' },
  molten_process_cpu_seconds_total: {
    kind: 'counter',
    labels: [],
    help: 'Time on all cores, all threads included.',
  },
  molten_process_resident_bytes: { kind: 'gauge', labels: [], help: 'Resident memory.' },
  molten_process_heap_used_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'Memory of JavaScript in use, of the main thread.',
  },
  molten_process_open_fds: {
    kind: 'gauge',
    labels: [],
    help: 'Open file descriptors. Absent where nothing tells.',
  },
  molten_process_start_time_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'When the server started, in Unix seconds.',
  },
} as const;

/** The name of a metric. */
export type MetricName = keyof typeof METRICS;

/** The reference page of all metrics, in Markdown. */
export function describeMetrics(): string {
  const rows = Object.entries<MetricSpec>(METRICS).map(([name, { kind, labels, help }]) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${kind} | ${shown} | ${help} |`;
  });
  return [
    '# Metrics',
    '',
    'What `GET /metrics` of the listener of `--metrics-port` tells, in the text format of Prometheus. Names are stable.',
    'Labels take values of closed sets alone, never what a caller sends. How to scrape them:',
    '[observability](../operating/observability.md).',
    '',
    '| metric | kind | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
