/**
 * The composition root: with the files beside it the one place that knows every room. It opens them from
 * the inside out (store, domain, services, doors, port) and closes them from the outside in.
 */
import type { ServerConfig } from '../config/server-config.ts';
import type { DomainError } from '../errors/domain-error.ts';
import type { WatchTimes } from '../domain/watch/watcher.ts';
import { systemClock, type Clock } from '../platform/clock.ts';
import { collectAllRarely } from '../platform/collector.ts';
import { createDisposer, type Disposer } from '../platform/disposal.ts';
import { createLogger, type LeveledLogger, type Logger } from '../platform/logger.ts';
import { createAddressOf } from '../protocol/http/client-address.ts';
import { delay } from '../platform/timers.ts';
import type { Tracer } from '../platform/tracing.ts';
import { listenForScrapers } from '../protocol/http/metrics-server.ts';
import { createHttpServer, type ListenAddress } from '../protocol/http/server.ts';
import { createWebSocketDoor, type WebSocketTimes } from '../protocol/websocket/door.ts';
import type { StorageEngine } from '../storage/engine.ts';
import { openDomain } from './domain.ts';
import { openMonitoring } from './monitoring.ts';
import { openAdmission } from './overload.ts';
import { createObservation, type Observation } from './observation.ts';
import { registerEdgeReadings } from './edge-readings.ts';
import { composeDispatcher, composeDoors } from './protocols.ts';
import type { LiveSettings } from './reload.ts';
import { openStore } from './open-store.ts';
import { registerReadings } from './readings.ts';
import { RELEASE } from './release.ts';
import { traceEngine } from './traced-engine.ts';
import { openTraffic } from './traffic.ts';

export { StillOpen } from '../platform/disposal.ts';

/** A server that runs. */
export interface RunningServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  /** Takes over settings from now on. TLS stays as it is on a server without, and the reverse. */
  apply(settings: LiveSettings): void;
  /** Where scrapers read metrics; undefined: nowhere. */
  readonly metricsUrl: string | undefined;
  /**
   * Says that it is not ready, and goes on for as long as it is configured to; then refuses new calls, lets
   * running ones end, closes the store. StillOpen when that takes too long. Calling it twice is harmless.
   */
  close(): Promise<void>;
}

/** What tests may replace. */
export interface ServerParts {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly watchTimes?: Partial<WatchTimes>;
  readonly webSocketTimes?: Partial<WebSocketTimes>;
}

/** Opens the store, composes the rooms and listens. What was opened is closed again when it fails. */
export async function startServer(
  config: ServerConfig,
  parts: ServerParts = {},
): Promise<RunningServer> {
  collectAllRarely();
  const rooms = createDisposer();
  try {
    return await open(config, parts, rooms);
  } catch (error) {
    await rooms.dispose();
    throw error;
  }
}

async function open(
  config: ServerConfig,
  parts: ServerParts,
  rooms: Disposer,
): Promise<RunningServer> {
  const { clock = systemClock } = parts;
  const logger: Logger & Partial<LeveledLogger> =
    parts.logger ?? createLogger({ level: config.logLevel });
  const { loopDelayMaxMs, queueWaitMaxMs: waitMaxMs } = config.overload;
  const admission = openAdmission({ loopDelayMaxMs, clock, logger, rooms });
  const observation = createObservation({ clock, logger, admission });
  rooms.defer('figures of the process', () => {
    observation.process[Symbol.dispose]();
  });
  const tracer = await openTracer(config, rooms);
  const observer = observation.storeObserver;
  const opened = await openStore(config, { clock, observer, waitMaxMs }, rooms);
  rooms.defer('the store', () => opened.close());
  const engine = tracer === undefined ? opened : traceEngine(opened, tracer);
  return await serve(config, parts, { engine, clock, logger, rooms, observation, tracer });
}

/** What is open before anybody is listened to. */
interface Opened {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly logger: Logger & Partial<LeveledLogger>;
  readonly rooms: Disposer;
  readonly observation: Observation;
  readonly tracer: Tracer | undefined;
}

async function serve(
  config: ServerConfig,
  { watchTimes = {}, webSocketTimes = {} }: ServerParts,
  opened: Opened,
): Promise<RunningServer> {
  const { engine, clock, logger, rooms, observation, tracer } = opened;
  let settings: LiveSettings = config;
  let isStopping = false;
  let isEnding = false;
  let closing: Promise<void> | undefined;
  const startedAtMs = clock.now();
  const ground = {
    ...{ engine, clock, logger, rooms, watchTimes, observation },
    isStopping: () => isStopping,
  };
  const domain = await openDomain(config, ground);
  const live = (): LiveSettings => settings;
  const watched = { engine, domain, observation, clock, logger, rooms, startedAtMs, live };
  const monitoring = openMonitoring(config, watched);
  const traffic = openTraffic(config, { engine, clock, logger, audit: domain.audit, live });
  const dispatcher = composeDispatcher(config, domain, {
    ...{ clock, logger, live, observation, monitor: monitoring.monitor, tracer, traffic },
  });
  const { maxBodyBytes, tls, shutdownGraceMs: graceMs, connections: limits } = config;
  const { isProxy, onForwarded } = traffic;
  const corsOrigins = (): readonly string[] => settings.corsOrigins;
  const addressOf = createAddressOf(config.trustedProxies, onForwarded);
  const admit = (): DomainError | undefined => observation.admission.refusal();
  const webSockets = createWebSocketDoor({
    ...{ dispatcher, corsOrigins, addressOf, admit, addressLimit: traffic, times: webSocketTimes },
  });
  const server = await createHttpServer({
    doors: composeDoors(config, dispatcher, {
      ...{ ...domain, clock, admit, addressLimit: traffic, isProxy, isEnding: () => isEnding },
    }),
    onUpgrade: webSockets.onUpgrade,
    ...{ tls, maxBodyBytes, corsOrigins, addressOf, admit, logger, graceMs },
    ...{ limits, isProxy, addressLimit: traffic },
  });
  rooms.defer('calls and connections', () => server.close());
  registerReadings({
    ...{ observation, engine, domain, monitoring, directory: config.dbPath, startedAtMs },
    nowMs: () => clock.now(),
  });
  registerEdgeReadings(config, { observation, traffic, live, server });
  const metricsUrl = await listenForMetrics(config, { observation, logger, rooms });
  const address = await server.listen(config.host, config.port);
  const url = urlOf(tls === undefined ? 'http' : 'https', address);

  async function shutDown(): Promise<void> {
    isStopping = true;
    if (config.shutdownDelayMs > 0) await delay(config.shutdownDelayMs);
    isEnding = true;
    // First, so that nobody who watches or follows holds up the others.
    domain.watches.stop();
    domain.audit.stopFollowing();
    webSockets.stop();
    await rooms.dispose(graceMs + config.shutdownTimeoutMs);
  }

  return {
    ...{ ...address, url, metricsUrl, logger },
    apply(next) {
      // First, because it alone can fail.
      if (tls !== undefined && next.tls !== undefined) server.replaceCertificate(next.tls);
      logger.setLevel?.(next.logLevel);
      settings = next;
    },
    close: () => (closing ??= shutDown()),
  };
}

/** Loads what tracing needs only when it is asked for. */
async function openTracer(
  { otlpEndpoint: endpoint }: ServerConfig,
  rooms: Disposer,
): Promise<Tracer | undefined> {
  if (endpoint === undefined) return undefined;
  const { openTracing } = await import('../platform/open-telemetry.ts');
  const tracing = await openTracing({ endpoint, release: RELEASE });
  rooms.defer('traces', async () => {
    await tracing[Symbol.asyncDispose]();
  });
  return tracing;
}

async function listenForMetrics(
  { metrics: place }: ServerConfig,
  parts: { readonly observation: Observation; readonly logger: Logger; readonly rooms: Disposer },
): Promise<string | undefined> {
  if (place === undefined) return undefined;
  const { observation, logger, rooms } = parts;
  const { metrics } = observation;
  const listener = await listenForScrapers({ metrics, logger, ...place });
  rooms.defer('the listener for scrapers', () => listener.close());
  return `${urlOf('http', listener.address)}/metrics`;
}

function urlOf(scheme: 'http' | 'https', { host, port }: ListenAddress): string {
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${shown}:${String(port)}`;
}
