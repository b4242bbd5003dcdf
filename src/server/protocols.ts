import type { AdminService } from '../../gen/molten/v1/admin_pb.ts';
import type { Monitor } from '../domain/node/monitor.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Tracer } from '../platform/tracing.ts';
import { createAegisDoor } from '../protocol/compat/aegis/door.ts';
import { createMddbDoor } from '../protocol/compat/mddb/door.ts';
import { createMoltenDbDoor } from '../protocol/compat/moltendb/door.ts';
import type { ServiceImplementation } from '../protocol/call.ts';
import { createConnectDoor } from '../protocol/connect/door.ts';
import { createCsrfTokens } from '../protocol/cookie-session/csrf.ts';
import { createCookieSessionDoor } from '../protocol/cookie-session/door.ts';
import { createCookieGuard } from '../protocol/cookie-session/guard.ts';
import { createDispatcher, type Dispatcher, type ServiceBinding } from '../protocol/dispatcher.ts';
import { registerHealth } from '../protocol/health/service.ts';
import type { Door } from '../protocol/http/door.ts';
import { createProbesDoor } from '../protocol/http/probes.ts';
import { createInterceptors } from '../protocol/interceptors/order.ts';
import { createOAuthDoor } from '../protocol/oauth/door.ts';
import { createOpenApiDoor } from '../protocol/openapi/door.ts';
import { registerReflection, type ReflectionBounds } from '../protocol/reflection/service.ts';
import { createRestDoor } from '../protocol/rest/door.ts';
import { createAdminService } from '../protocol/services/admin.ts';
import { createApiKeyService } from '../protocol/services/api-keys.ts';
import { createAuditService } from '../protocol/services/audit.ts';
import { createAuthService } from '../protocol/services/auth.ts';
import { createCollectionService } from '../protocol/services/collections.ts';
import { createDocumentService } from '../protocol/services/documents.ts';
import { bindServices } from '../protocol/services/mounted.ts';
import { createOperationService } from '../protocol/services/operations.ts';
import { createSnapshotService } from '../protocol/services/snapshots.ts';
import { createSystemService } from '../protocol/services/system.ts';
import { createTokenService } from '../protocol/services/tokens.ts';
import { createUserService } from '../protocol/services/users.ts';
import { createWatchService } from '../protocol/services/watch.ts';
import { createSseDoor } from '../protocol/sse/door.ts';
import type { Domain } from './domain.ts';
import type { Observation } from './observation.ts';
import type { LiveSettings } from './reload.ts';
import type { Traffic } from './traffic.ts';
import { RELEASE } from './release.ts';

/** What the protocols are composed with. */
export interface Composition {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The settings of the moment. */
  readonly live: () => LiveSettings;
  readonly observation: Observation;
  readonly monitor: Monitor;
  readonly tracer: Tracer | undefined;
  readonly traffic: Pick<Traffic, 'bans' | 'rates'>;
}

/** Every service over the domain, behind the interceptors. */
export function composeDispatcher(
  config: ServerConfig,
  domain: Domain,
  { clock, logger, live, observation, monitor, tracer, traffic }: Composition,
): Dispatcher {
  const { authenticator } = domain.access;
  const { audit, csrfKey } = domain;
  const { tls } = config;
  const csrf = createCsrfTokens(csrfKey);
  const corsOrigins = (): readonly string[] => live().corsOrigins;
  const cookies = createCookieGuard({ csrf, needsTls: tls !== undefined, corsOrigins });
  const { rates: limits, bans } = traffic;
  return createDispatcher({
    services: bindAll(config, domain, createAdminService(monitor, domain.queryBounds, bans)),
    interceptors: createInterceptors({
      ...{ logger, clock, authenticator, cookies, audit, limits, tracer },
      calls: {
        ...{ figures: observation.calls, activity: observation.activity },
        observe: observation.observeCall,
      },
    }),
  });
}

function bindAll(
  config: ServerConfig,
  domain: Domain,
  admin: ServiceImplementation<typeof AdminService>,
): readonly ServiceBinding[] {
  const { writeMode: durability, maxDocumentBytes: documentBytesMax } = config;
  const { documents, collections, pageTokenKey, snapshots, operations, restores } = domain;
  const limits = { durability, documentBytesMax };
  return bindServices({
    documents: createDocumentService({ documents, ...limits }),
    collections: createCollectionService({ collections, pageTokenKey, ...limits }),
    watch: createWatchService(domain.watches),
    snapshots: createSnapshotService({ snapshots, operations, restores }),
    operations: createOperationService(operations),
    auth: createAuthService(domain.access),
    users: createUserService(domain.access),
    tokens: createTokenService(domain.access),
    apiKeys: createApiKeyService(domain.access),
    audit: createAuditService(domain.audit),
    system: createSystemService(domain.node, operations),
    admin,
  });
}

/** What the doors need of the domain and of each other's bounds. */
export interface DoorParts extends Pick<Domain, 'node' | 'csrfKey'>, ReflectionBounds {
  readonly clock: Clock;
  /** The server closes by now: what goes on for ever is to end. */
  readonly isEnding: () => boolean;
  /** Whose connections and requests are those of many. */
  readonly isProxy: (address: string) => boolean;
}

/** Every protocol of the one port. */
export function composeDoors(
  { maxBodyBytes, access, tls, dbPath: directory }: ServerConfig,
  dispatcher: Dispatcher,
  { node, csrfKey, clock, isEnding, isProxy, ...bounds }: DoorParts,
): readonly Door[] {
  const { services } = dispatcher;
  const { tokenIssuer, tokenAudience } = access;
  const csrf = createCsrfTokens(csrfKey);
  return [
    createConnectDoor({
      ...{ dispatcher, maxBodyBytes },
      extras: (router) => {
        const names = services.map(({ typeName }) => typeName);
        const isReady = (): boolean => node.state() === 'ready';
        registerHealth(router, { services: names, serving: { isReady, isEnding }, isProxy });
        registerReflection(router, services, bounds);
      },
    }),
    createProbesDoor({ release: RELEASE, state: () => node.state() }),
    // Before REST, which refuses the methods that nobody has taken.
    createSseDoor({ dispatcher }),
    createRestDoor({ dispatcher, maxBodyBytes }),
    createMoltenDbDoor({ dispatcher, clock, maxBodyBytes, directory }),
    createMddbDoor({ dispatcher, clock }),
    createAegisDoor({ dispatcher }),
    createCookieSessionDoor({ dispatcher, clock, csrf, needsTls: tls !== undefined }),
    createOAuthDoor({ dispatcher, tokenIssuer, tokenAudience }),
    createOpenApiDoor({ dispatcher, release: RELEASE }),
  ];
}
