/**
 * The composition root: with the files beside it the one place that knows every room. It opens them from
 * the inside out (store, domain, services, doors, port) and closes them from the outside in.
 */
import type { ServerConfig } from '../config/server-config.ts';
import type { WatchTimes } from '../domain/watch/watcher.ts';
import { systemClock, type Clock } from '../platform/clock.ts';
import { createDisposer, type Disposer } from '../platform/disposal.ts';
import { createLogger, type LeveledLogger, type Logger } from '../platform/logger.ts';
import { createAddressOf } from '../protocol/http/client-address.ts';
import { createHttpServer } from '../protocol/http/server.ts';
import { createWebSocketDoor, type WebSocketTimes } from '../protocol/websocket/door.ts';
import { openEmbeddedStore } from '../storage/embedded/open.ts';
import { openDomain } from './domain.ts';
import { composeDispatcher, composeDoors } from './protocols.ts';
import type { LiveSettings } from './reload.ts';

/** A server that runs. */
export interface RunningServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  /** Takes over settings from now on. TLS stays as it is on a server without, and the reverse. */
  apply(settings: LiveSettings): void;
  /** Refuses new calls, lets running ones end, closes the store. Calling it twice is harmless. */
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
  const { clock = systemClock, watchTimes = {}, webSocketTimes = {} } = parts;
  const ownLogger = parts.logger ?? createLogger({ level: config.logLevel });
  const logger: Logger & Partial<LeveledLogger> = ownLogger;
  let settings: LiveSettings = config;
  const live = (): LiveSettings => settings;
  const engine = await openEmbeddedStore({
    ...{ directory: config.dbPath, clock },
    ...{ password: config.encryptionKey, cacheBytes: config.cacheBytes },
    cacheDocuments: config.cacheDocuments,
  });
  rooms.defer(() => engine.close());
  let isStopping = false;
  const ground = { engine, clock, logger, rooms, watchTimes, isStopping: () => isStopping };
  const domain = await openDomain(config, ground);
  const dispatcher = composeDispatcher(config, domain, { clock, logger, live });
  const { maxBodyBytes, tls, shutdownGraceMs: graceMs } = config;
  const corsOrigins = (): readonly string[] => settings.corsOrigins;
  const addressOf = createAddressOf(config.trustedProxies);
  const server = await createHttpServer({
    doors: composeDoors(config, dispatcher, { ...domain, clock }),
    onUpgrade: createWebSocketDoor({
      ...{ dispatcher, corsOrigins, addressOf, times: webSocketTimes },
    }),
    ...{ tls, maxBodyBytes, corsOrigins, addressOf, logger, graceMs },
  });
  rooms.defer(() => server.close());
  const { host, port } = await server.listen(config.host, config.port);
  return {
    ...{ host, port, url: urlOf(config, port), logger },
    apply(next) {
      // First, because it alone can fail.
      if (tls !== undefined && next.tls !== undefined) server.replaceCertificate(next.tls);
      logger.setLevel?.(next.logLevel);
      settings = next;
    },
    close() {
      isStopping = true;
      // First, so that nobody who watches or follows holds up the others.
      domain.watches.stop();
      domain.audit.stopFollowing();
      return rooms.dispose();
    },
  };
}

function urlOf({ tls, host }: ServerConfig, port: number): string {
  const scheme = tls === undefined ? 'http' : 'https';
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${shown}:${String(port)}`;
}
