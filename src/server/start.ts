/**
 * The composition root: the one place that knows every room. It opens them from the inside out (store,
 * domain, services, doors, port) and closes them from the outside in.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { AuthService } from '../../gen/molten/v1/auth_pb.ts';
import { CollectionService } from '../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../gen/molten/v1/documents_pb.ts';
import { SystemService } from '../../gen/molten/v1/system_pb.ts';
import { WatchService } from '../../gen/molten/v1/watch_pb.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { createAccess, type Access } from '../domain/access/access.ts';
import { createCatalog } from '../domain/collections/catalog.ts';
import { createCollections } from '../domain/collections/collections.ts';
import { startSweeper } from '../domain/collections/sweeper.ts';
import { createDocuments } from '../domain/documents/documents.ts';
import { DOCUMENT_LIMITS } from '../domain/documents/parts.ts';
import { createNode, type Node } from '../domain/node/node.ts';
import type { WatchTimes } from '../domain/watch/watcher.ts';
import { createWatches, type Watches } from '../domain/watch/watches.ts';
import { systemClock, type Clock } from '../platform/clock.ts';
import { createDisposer, type Disposer } from '../platform/disposal.ts';
import { createIdSource } from '../platform/ids.ts';
import { createLogger, type Logger } from '../platform/logger.ts';
import { createMetrics } from '../platform/metrics.ts';
import { createMoltenDbDoor } from '../protocol/compat/moltendb/door.ts';
import { createConnectDoor } from '../protocol/connect/door.ts';
import { bindService, createDispatcher, type Dispatcher } from '../protocol/dispatcher.ts';
import { registerHealth } from '../protocol/health/service.ts';
import type { Door } from '../protocol/http/door.ts';
import { createHttpServer } from '../protocol/http/server.ts';
import { createInterceptors } from '../protocol/interceptors/order.ts';
import { createOpenApiDoor } from '../protocol/openapi/door.ts';
import { registerReflection } from '../protocol/reflection/service.ts';
import { createRestDoor } from '../protocol/rest/door.ts';
import { createSseDoor } from '../protocol/sse/door.ts';
import { createAuthService } from '../protocol/services/auth.ts';
import { createCollectionService } from '../protocol/services/collections.ts';
import { createDocumentService } from '../protocol/services/documents.ts';
import { createSystemService } from '../protocol/services/system.ts';
import { createWatchService } from '../protocol/services/watch.ts';
import { createWebSocketDoor, type WebSocketTimes } from '../protocol/websocket/door.ts';
import type { StorageEngine } from '../storage/engine.ts';
import { openEmbeddedStore } from '../storage/embedded/open.ts';
import { RELEASE } from './release.ts';

/** A server that runs. */
export interface RunningServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
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
  const clock = parts.clock ?? systemClock;
  const logger = parts.logger ?? createLogger({ level: config.logLevel });
  const rooms = createDisposer();
  try {
    return await open(config, { clock, logger, rooms, parts });
  } catch (error) {
    await rooms.dispose();
    throw error;
  }
}

interface Opening {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Closes what is opened. */
  readonly rooms: Disposer;
  readonly parts: ServerParts;
}

async function open(
  config: ServerConfig,
  { clock, logger, rooms, parts }: Opening,
): Promise<RunningServer> {
  const engine = await openEmbeddedStore({
    directory: config.dbPath,
    clock,
    password: config.encryptionKey,
    cacheBytes: config.cacheBytes,
  });
  rooms.defer(() => engine.close());
  const { jwtSecret, rootUser, rootPassword } = config;
  const access = await createAccess({ engine, clock, jwtSecret, rootUser, rootPassword });
  let isStopping = false;
  const node = createNode({
    ...{ engine, release: RELEASE, startedAtMs: clock.now(), writeMode: config.writeMode },
    isEncrypted: config.encryptionKey !== undefined,
    snapshotDirectory: join(config.dbPath, 'snapshots'),
    isStopping: () => isStopping,
  });
  const watches = await createWatches({
    ...{ engine, clock, times: parts.watchTimes ?? {} },
    lapseOf: (principal) => access.authenticator.lapseOf(principal),
  });
  rooms.defer(async () => {
    await watches[Symbol.asyncDispose]();
  });
  const composed = compose(config, { clock, logger, engine, access, node, watches });
  rooms.defer(async () => {
    await composed.sweeper[Symbol.asyncDispose]();
  });
  const server = await createHttpServer({
    doors: doorsOf(config, { dispatcher: composed.dispatcher, node, clock }),
    tls: config.tls,
    maxBodyBytes: config.maxBodyBytes,
    corsOrigins: config.corsOrigins,
    onUpgrade: createWebSocketDoor({
      ...{ dispatcher: composed.dispatcher, corsOrigins: config.corsOrigins },
      times: parts.webSocketTimes ?? {},
    }),
    logger,
    graceMs: config.shutdownGraceMs,
  });
  rooms.defer(() => server.close());
  const { host, port } = await server.listen(config.host, config.port);
  return {
    ...{ host, port, url: urlOf(config, port) },
    close() {
      isStopping = true;
      // First, so that nobody who watches holds up the others.
      watches.stop();
      return rooms.dispose();
    },
  };
}

interface Inner {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly engine: StorageEngine;
  readonly access: Access;
  readonly node: Node;
  readonly watches: Watches;
}

/** Domain and services over an open store. */
function compose(
  config: ServerConfig,
  { clock, logger, engine, access, node, watches }: Inner,
): { readonly dispatcher: Dispatcher; readonly sweeper: AsyncDisposable } {
  const { writeMode: durability, strict, maxDocumentBytes: documentBytesMax } = config;
  const pageTokenKey = deriveKey(config.jwtSecret, 'page tokens');
  const catalog = createCatalog({ engine, clock });
  const collections = createCollections({ engine, catalog, clock, strict });
  const documents = createDocuments({
    ...{ engine, catalog, clock, strict, pageTokenKey, ids: createIdSource(clock) },
    limits: { ...DOCUMENT_LIMITS, documentBytesMax, keysPerRequestMax: config.maxKeysPerRequest },
    onSchemaWarning: (document, violations) => {
      logger.warn('a document breaks its schema', { ...document, violations });
    },
  });
  const sweeper = startSweeper({
    ...{ engine, clock, intervalMs: config.sweepIntervalMs },
    onFailure: (error) => {
      logger.error('a sweep failed; the next one tries again', { error: String(error) });
    },
  });
  const { authenticator, auth } = access;
  const { rateLimit } = config;
  const dispatcher = createDispatcher({
    services: [
      bindService(
        DocumentService,
        createDocumentService({ documents, durability, documentBytesMax }),
      ),
      bindService(
        CollectionService,
        createCollectionService({ collections, durability, documentBytesMax, pageTokenKey }),
      ),
      bindService(AuthService, createAuthService(auth)),
      bindService(SystemService, createSystemService(node)),
      bindService(WatchService, createWatchService(watches)),
    ],
    interceptors: createInterceptors({
      ...{ logger, clock, authenticator, rateLimit, metrics: createMetrics() },
    }),
  });
  return { dispatcher, sweeper };
}

/** Every protocol of the one port. */
function doorsOf(
  { maxBodyBytes }: ServerConfig,
  { dispatcher, node, clock }: Pick<Inner, 'node' | 'clock'> & { readonly dispatcher: Dispatcher },
): readonly Door[] {
  const { services } = dispatcher;
  return [
    createConnectDoor({
      ...{ dispatcher, maxBodyBytes },
      extras: (router) => {
        const names = services.map(({ typeName }) => typeName);
        registerHealth(router, { services: names, isServing: () => node.state() !== 'stopping' });
        registerReflection(router, services);
      },
    }),
    // Before REST, which refuses the methods that nobody has taken.
    createSseDoor({ dispatcher }),
    createRestDoor({ dispatcher, maxBodyBytes }),
    createMoltenDbDoor({ dispatcher, clock, maxBodyBytes }),
    createOpenApiDoor({ dispatcher, release: RELEASE }),
  ];
}

/** A key of its own for each purpose, so that one secret is enough to configure. */
function deriveKey(secret: string, purpose: string): Uint8Array {
  return createHash('sha256').update(`moltendb ${purpose}\0`).update(secret).digest();
}

function urlOf({ tls, host }: ServerConfig, port: number): string {
  const scheme = tls === undefined ? 'http' : 'https';
  const shown = host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${shown}:${String(port)}`;
}
