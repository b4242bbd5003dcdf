/**
 * From sources to a checked configuration. Every fault is found before any is told, so that one attempt
 * shows all there is to mend; nothing is opened before the configuration is whole.
 */
import { resolve } from 'node:path';

import { systemClock } from '../platform/clock.ts';
import { addDevelopmentSecrets, type DevelopmentSecrets } from './development-secrets.ts';
import { ConfigError, type Fault } from './faults.ts';
import { checkValues, createReader, type OptionReader } from './reader.ts';
import { refusals, type JudgedRow } from './refusals.ts';
import { readIdentity } from './read-identity.ts';
import type { ServerConfig } from './server-config.ts';
import { readTls } from './tls-files.ts';
import { collectValues, type OptionValues, type Sources } from './values.ts';

/** A configuration, and what its user should know. */
export interface LoadedConfig {
  readonly config: ServerConfig;
  /** What each option says, and where. */
  readonly values: OptionValues;
  readonly warnings: readonly string[];
  /** Where missing secrets were put, in development. */
  readonly development: DevelopmentSecrets | undefined;
}

const MS_PER_SECOND = 1000;
const SWEEP_INTERVAL_MS = 1000;
const SHUTDOWN_GRACE_MS = 5000;

/** What is wrong with a configuration, and what is only said. */
export interface Judgement {
  readonly values: OptionValues;
  /** Everything that is wrong. */
  readonly faults: readonly Fault[];
  /** What of it is about the sources and the form of values. */
  readonly malformed: readonly Fault[];
  /** The table of refusals, row by row. */
  readonly rows: readonly JudgedRow[];
  readonly warnings: readonly string[];
}

/** Judges a configuration without using it: nothing is made, nothing is opened. */
export function judgeConfig(sources: Sources): Judgement {
  const { values: all, faults: unusable, warnings: ofSources } = collectValues(sources);
  const { sound: values, faults: misspelt } = checkValues(all);
  const verdict = refusals({ read: createReader(values), nowMs: systemClock.now() });
  const { rows } = verdict;
  const malformed = [...unusable, ...misspelt];
  const faults = [...malformed, ...rows.flatMap((row) => row.faults)];
  return { values, faults, malformed, rows, warnings: [...ofSources, ...verdict.warnings] };
}

/** Loads the configuration of a server. ConfigError names everything that is wrong. */
export function loadConfig(sources: Sources): LoadedConfig {
  const { values, faults, warnings } = judgeConfig(sources);
  if (faults.length > 0) throw new ConfigError(faults);
  const read = createReader(values);
  const development = read.switch('dev-mode')
    ? addDevelopmentSecrets(read.text('db-path') ?? '', {
        jwtSecret: read.text('jwt-secret'),
        rootPassword: read.text('root-password'),
        encryptionKey: read.text('encryption-key'),
        isEncrypted: !read.switch('disable-encryption') && read.text('storage-url') === undefined,
      })
    : undefined;
  const secrets = {
    jwtSecret: development?.jwtSecret ?? read.text('jwt-secret') ?? '',
    rootPassword: development?.rootPassword ?? read.text('root-password'),
    encryptionKey: development?.encryptionKey ?? read.text('encryption-key'),
  };
  const config = { ...settings(read), ...secrets, tls: readTls(read) };
  return { config, values, warnings, development };
}

type Secrets = Pick<ServerConfig, 'jwtSecret' | 'rootPassword' | 'encryptionKey'>;

type Settings = Omit<ServerConfig, keyof Secrets | 'tls'>;

function settings(read: OptionReader): Settings {
  return {
    dbPath: read.text('db-path') ?? '',
    storage: readStorage(read),
    host: read.text('host') ?? '',
    port: read.whole('port'),
    rootUser: read.text('root-user') ?? '',
    writeMode: read.text('write-mode') === 'async' ? 'async' : 'sync',
    corsOrigins: read.list('cors-origin'),
    trustedProxies: read.list('trusted-proxy'),
    maxBodyBytes: read.whole('max-body-size'),
    maxDocumentBytes: read.whole('max-document-size'),
    maxKeysPerRequest: read.whole('max-keys-per-request'),
    cacheBytes: read.whole('cache-size'),
    cacheDocuments:
      read.text('storage-mode') === 'tiered' ? read.whole('hot-threshold') : undefined,
    rateLimit: {
      requests: read.whole('rate-limit-requests'),
      windowMs: read.whole('rate-limit-window') * MS_PER_SECOND,
    },
    queryCeiling: {
      rowsMax: read.whole('max-query-rows'),
      timeMsMax: read.whole('max-query-time'),
      examinedMax: read.whole('max-query-scan'),
      memoryBytesMax: read.whole('max-query-memory'),
    },
    overload: {
      loopDelayMaxMs: read.whole('max-loop-delay'),
      queueWaitMaxMs: read.whole('max-queue-wait'),
    },
    rates: readRates(read),
    bans: {
      refusals: read.whole('ban-after'),
      firstMs: read.whole('ban-duration') * MS_PER_SECOND,
    },
    connections: readConnections(read),
    logLevel: read.switch('debug') ? 'debug' : logLevel(read.text('log-level')),
    strict: read.switch('strict'),
    retention: {
      ageMs: read.whole('retain-history') * MS_PER_SECOND,
      bytesMax: read.whole('retain-history-size'),
    },
    access: readAccess(read),
    identity: readIdentity(read),
    archive: readArchive(read),
    audit: readAudit(read),
    metrics: readMetrics(read),
    alertWebhook: readAlertWebhook(read),
    otlpEndpoint: read.text('otlp-endpoint'),
    slowQueryMs: read.whole('slow-query-ms'),
    snapshots: readSnapshots(read),
    sweepIntervalMs: SWEEP_INTERVAL_MS,
    shutdownDelayMs: read.whole('shutdown-delay') * MS_PER_SECOND,
    shutdownGraceMs: SHUTDOWN_GRACE_MS,
    shutdownTimeoutMs: read.whole('shutdown-timeout') * MS_PER_SECOND,
  };
}

function readStorage(read: OptionReader): ServerConfig['storage'] {
  const url = read.text('storage-url');
  if (url === undefined) return undefined;
  const password = read.text('storage-password');
  return { url, password, connections: read.whole('storage-connections') };
}

function readRates(read: OptionReader): ServerConfig['rates'] {
  return {
    burst: read.whole('rate-limit-burst'),
    anonymous: read.whole('rate-limit-anonymous'),
    logins: read.whole('rate-limit-logins'),
    verifications: read.whole('rate-limit-verifications'),
    principal: read.whole('rate-limit-principal'),
  };
}

function readConnections(read: OptionReader): ServerConfig['connections'] {
  return {
    connectionsMax: read.whole('max-connections'),
    connectionsPerAddressMax: read.whole('max-connections-per-address'),
    streamsMax: read.whole('max-streams-per-connection'),
    bufferedBytesMax: read.whole('max-buffered-size'),
    headerBytesMax: read.whole('max-header-size'),
    urlCharsMax: read.whole('max-url-length'),
    headersTimeoutMs: read.whole('headers-timeout') * MS_PER_SECOND,
    requestTimeoutMs: read.whole('request-timeout') * MS_PER_SECOND,
    idleTimeoutMs: read.whole('idle-timeout') * MS_PER_SECOND,
  };
}

function readAccess(read: OptionReader): ServerConfig['access'] {
  const algorithms = ['HS256', 'EdDSA', 'ES256'] as const;
  const previous = read.text('jwt-secret-previous');
  return {
    previousJwtSecrets: previous === undefined ? [] : [previous],
    tokenAlgorithm: algorithms.find((one) => one === read.text('token-algorithm')) ?? 'HS256',
    tokenIssuer: read.text('token-issuer') ?? '',
    tokenAudience: read.text('token-audience') ?? '',
    accessTokenTtlMs: read.whole('access-token-ttl') * MS_PER_SECOND,
    tokensPerUserMax: read.whole('max-tokens-per-user'),
    passwordCharsMin: read.whole('password-min-length'),
    setupToken: read.text('setup-token'),
  };
}

function readArchive(read: OptionReader): ServerConfig['archive'] {
  const directory = read.text('archive-dir');
  const intervalMs = read.whole('archive-interval') * MS_PER_SECOND;
  return directory === undefined ? undefined : { directory: resolve(directory), intervalMs };
}

function readAudit(read: OptionReader): ServerConfig['audit'] {
  const file = read.text('audit-file');
  const retainMs = read.whole('audit-retention') * MS_PER_SECOND;
  return { retainMs, file: file === undefined ? undefined : resolve(file) };
}

function readMetrics(read: OptionReader): ServerConfig['metrics'] {
  const port = read.whole('metrics-port');
  return port === 0 ? undefined : { host: read.text('metrics-host') ?? '', port };
}

function readAlertWebhook(read: OptionReader): ServerConfig['alertWebhook'] {
  const url = read.text('alert-webhook-url');
  if (url === undefined) return undefined;
  const secret = read.text('alert-webhook-secret') ?? '';
  return { url, secret, allowPrivate: read.switch('alert-webhook-allow-private') };
}

function readSnapshots(read: OptionReader): ServerConfig['snapshots'] {
  const command = read.text('post-backup-script');
  const timeoutMs = read.whole('post-backup-timeout') * MS_PER_SECOND;
  return {
    schedule: read.text('snapshot-schedule'),
    keep: read.whole('snapshot-keep'),
    hook: command === undefined ? undefined : { command: resolve(command), timeoutMs },
  };
}

function logLevel(text: string | undefined): ServerConfig['logLevel'] {
  const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
  return levels.find((level) => level === text) ?? 'info';
}
