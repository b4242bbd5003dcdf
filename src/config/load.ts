/**
 * From sources to a checked configuration. Every fault is found before any is told, so that one attempt
 * shows all there is to mend; nothing is opened before the configuration is whole.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { addDevelopmentSecrets, type DevelopmentSecrets } from './development-secrets.ts';
import { ConfigError, type Fault } from './faults.ts';
import type { Option } from './option.ts';
import { OPTIONS } from './options.ts';
import { refuseObservation } from './observation-refusals.ts';
import { refusals } from './refusals.ts';
import { readIdentity } from './read-identity.ts';
import type { ServerConfig } from './server-config.ts';
import { collectValues, type OptionValues, type Sources } from './values.ts';

/** A configuration, and what its user should know. */
export interface LoadedConfig {
  readonly config: ServerConfig;
  readonly warnings: readonly string[];
  /** Where missing secrets were put, in development. */
  readonly development: DevelopmentSecrets | undefined;
}

const MS_PER_SECOND = 1000;
const SWEEP_INTERVAL_MS = 1000;
const SHUTDOWN_GRACE_MS = 5000;

/** Loads the configuration of a server. ConfigError names everything that is wrong. */
export function loadConfig(sources: Sources): LoadedConfig {
  const values = collectValues(sources);
  const faults = OPTIONS.flatMap((option) => check(option, values));
  if (faults.length > 0) throw new ConfigError(faults);
  const read = createReader(values);
  const development = read.switch('dev-mode')
    ? addDevelopmentSecrets(read.text('db-path') ?? '', {
        jwtSecret: read.text('jwt-secret'),
        rootPassword: read.text('root-password'),
        encryptionKey: read.text('encryption-key'),
        isEncrypted: !read.switch('disable-encryption'),
      })
    : undefined;
  const secrets = {
    jwtSecret: development?.jwtSecret ?? read.text('jwt-secret'),
    rootPassword: development?.rootPassword ?? read.text('root-password'),
    encryptionKey: development?.encryptionKey ?? read.text('encryption-key'),
  };
  const setupToken = read.text('setup-token');
  const { refused, warnings } = refusals({ read, ...secrets, setupToken });
  refused.push(...refuseObservation(read));
  const tls = readTls(read, refused);
  if (refused.length > 0) throw new ConfigError(refused);
  return { config: { ...settings(read), ...whole(secrets), tls }, warnings, development };
}

type Secrets = Pick<ServerConfig, 'jwtSecret' | 'rootPassword' | 'encryptionKey'>;

/** Refused before when one is missing. */
function whole(secrets: { [K in keyof Secrets]: string | undefined }): Secrets {
  const { jwtSecret = '', rootPassword, encryptionKey } = secrets;
  return { jwtSecret, rootPassword, encryptionKey };
}

type Settings = Omit<ServerConfig, keyof Secrets | 'tls'>;

function settings(read: OptionReader): Settings {
  return {
    dbPath: read.text('db-path') ?? '',
    host: read.text('host') ?? '',
    port: read.whole('port'),
    rootUser: read.text('root-user') ?? '',
    writeMode: read.text('write-mode') === 'async' ? 'async' : 'sync',
    corsOrigins: read.list('cors-origin'),
    maxBodyBytes: read.whole('max-body-size'),
    maxDocumentBytes: read.whole('max-document-size'),
    maxKeysPerRequest: read.whole('max-keys-per-request'),
    cacheBytes: read.whole('cache-size'),
    cacheDocuments:
      read.text('storage-mode') === 'standard' ? undefined : read.whole('hot-threshold'),
    rateLimit: {
      requests: read.whole('rate-limit-requests'),
      windowMs: read.whole('rate-limit-window') * MS_PER_SECOND,
    },
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
    shutdownGraceMs: SHUTDOWN_GRACE_MS,
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

/** Reads checked values by the name of their option. */
export interface OptionReader {
  text(name: string): string | undefined;
  whole(name: string): number;
  switch(name: string): boolean;
  list(name: string): readonly string[];
  /** Where a value came from; the flag when there is none. */
  origin(name: string): string;
}

function createReader(values: OptionValues): OptionReader {
  const text = (name: string): string | undefined => values.get(name)?.text;
  return {
    text,
    whole: (name) => Number(text(name)),
    switch: (name) => text(name) === 'true',
    list: (name) =>
      (text(name) ?? '')
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    origin: (name) => values.get(name)?.origin ?? `--${name}`,
  };
}

function check({ name, type }: Option, values: OptionValues): readonly Fault[] {
  const value = values.get(name);
  if (value === undefined) return [];
  const { text, origin } = value;
  const problem = problemOf(type, text);
  return problem === undefined ? [] : [{ key: origin, problem }];
}

function problemOf(type: Option['type'], text: string): string | undefined {
  switch (type.kind) {
    case 'switch':
      return text === 'true' || text === 'false' ? undefined : `is '${text}'; wants true or false`;
    case 'choice':
      if (type.choices.includes(text)) return undefined;
      return `is '${text}'; wants one of ${type.choices.join(', ')}`;
    case 'whole': {
      const number = Number(text);
      const isWhole = /^\d{1,16}$/.test(text) && number >= type.min && number <= type.max;
      if (isWhole) return undefined;
      const bounds = `${String(type.min)} to ${String(type.max)} ${type.unit}`;
      return `is '${text}'; wants a whole number, ${bounds}`;
    }
    default:
      return undefined;
  }
}

function readTls(read: OptionReader, faults: Fault[]): ServerConfig['tls'] {
  const certPath = read.text('cert');
  const keyPath = read.text('key');
  if (certPath === undefined || keyPath === undefined) return undefined;
  const cert = readPem(certPath, read.origin('cert'), faults);
  const key = readPem(keyPath, read.origin('key'), faults);
  return { cert, key };
}

function readPem(path: string, origin: string, faults: Fault[]): string {
  if (!existsSync(path)) {
    faults.push({ key: origin, problem: `names '${path}', which does not exist` });
    return '';
  }
  const text = readFileSync(path, 'utf8');
  if (text.includes('-----BEGIN ')) return text;
  faults.push({ key: origin, problem: `names '${path}', which is not in PEM form` });
  return '';
}
