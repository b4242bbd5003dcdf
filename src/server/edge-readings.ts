import type { ServerConfig } from '../config/server-config.ts';
import { LIMIT_NAMES } from '../domain/quota/rate-limits.ts';
import type { Sample } from '../platform/metrics.ts';
import type { HttpServer } from '../protocol/http/server.ts';
import type { Observation } from './observation.ts';
import type { LiveSettings } from './reload.ts';
import type { Traffic } from './traffic.ts';

/** What is read. */
export interface EdgeReadingParts {
  readonly observation: Pick<Observation, 'metrics' | 'calls'>;
  readonly traffic: Traffic;
  readonly server: Pick<HttpServer, 'connections' | 'buffered'>;
  /** The settings of the moment. */
  readonly live: () => LiveSettings;
}

const MS_PER_SECOND = 1000;
const BUFFERED = ['bodies', 'answers'] as const;

/** Ties the metrics of connections, limits and bans to their source. */
export function registerEdgeReadings(config: ServerConfig, parts: EdgeReadingParts): void {
  const { observation, traffic, server, live } = parts;
  const { connections, buffered } = server;
  const { metrics, calls } = observation;
  const { rates, bans } = traffic;
  metrics.read(
    'molten_rate_limited_total',
    () => (calls.failures().get('RATE_LIMITED') ?? 0) + traffic.refusedRequests(),
  );
  metrics.read('molten_rate_limit_refusals_total', () =>
    LIMIT_NAMES.map((limit): Sample => [{ limit }, rates.refused(limit)]),
  );
  metrics.read('molten_rate_limit_counters', () => rates.counters());
  metrics.read('molten_bans', () => bans.list().length);
  metrics.read('molten_bans_total', () => bans.begun);
  metrics.read('molten_connections', () => connections.open);
  metrics.read('molten_connections_refused_total', () =>
    (['total', 'address'] as const).map((limit): Sample => [{ limit }, connections.refused(limit)]),
  );
  metrics.read('molten_buffered_bytes', () =>
    BUFFERED.map((kind): Sample => [{ kind }, buffered.bytes(kind)]),
  );
  metrics.read('molten_buffered_cut_total', () =>
    BUFFERED.map((kind): Sample => [{ kind }, buffered.cut(kind)]),
  );
  metrics.read('molten_limit', () =>
    Object.entries(limitsOf(config, live())).map(([option, value]): Sample => [{ option }, value]),
  );
}

function limitsOf(
  { connections, maxBodyBytes, maxDocumentBytes, maxKeysPerRequest, overload }: ServerConfig,
  { rateLimit, rates, bans }: LiveSettings,
): Readonly<Record<string, number>> {
  return {
    'rate-limit-requests': rateLimit.requests,
    'rate-limit-window': rateLimit.windowMs / MS_PER_SECOND,
    'rate-limit-burst': rates.burst,
    'rate-limit-anonymous': rates.anonymous,
    'rate-limit-logins': rates.logins,
    'rate-limit-verifications': rates.verifications,
    'rate-limit-principal': rates.principal,
    'ban-after': bans.refusals,
    'ban-duration': bans.firstMs / MS_PER_SECOND,
    'max-body-size': maxBodyBytes,
    'max-document-size': maxDocumentBytes,
    'max-keys-per-request': maxKeysPerRequest,
    'max-loop-delay': overload.loopDelayMaxMs,
    'max-queue-wait': overload.queueWaitMaxMs,
    'max-connections': connections.connectionsMax,
    'max-connections-per-address': connections.connectionsPerAddressMax,
    'max-streams-per-connection': connections.streamsMax,
    'max-buffered-size': connections.bufferedBytesMax,
    'max-header-size': connections.headerBytesMax,
    'max-url-length': connections.urlCharsMax,
    'headers-timeout': connections.headersTimeoutMs / MS_PER_SECOND,
    'request-timeout': connections.requestTimeoutMs / MS_PER_SECOND,
    'idle-timeout': connections.idleTimeoutMs / MS_PER_SECOND,
  };
}
