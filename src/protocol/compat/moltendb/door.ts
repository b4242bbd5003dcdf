/**
 * The HTTP API of MoltenDB 1.0, over the same calls as every other protocol. Each route turns its payload
 * into protobuf requests and their answers back into the shapes of the original; what is checked, and
 * what is allowed, is decided where it is for everybody. `docs/reference/moltendb-compatibility.md` lists
 * where this answers differently on purpose.
 */
import { DomainError } from '../../../errors/domain-error.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Dispatcher } from '../../dispatcher.ts';
import { HTTP_METHODS, type Door, type FastifyInstance } from '../../http/door.ts';
import { refusePacked } from '../../http/read-body.ts';
import { frameworkCodeOf } from '../../http/framework-error.ts';
import { delegateRoute, loginRoute, refreshRoute, revokeRoute } from './auth.ts';
import { analyticsRoute, schemaRoute, statsRoute } from './collections.ts';
import {
  deleteRoute,
  getCollectionRoute,
  getDocumentRoute,
  getRoute,
  setRoute,
  updateRoute,
} from './documents.ts';
import { sendEnvelope, sendRefusal } from './envelope.ts';
import { compileHandler, type RouteHandler } from './handler.ts';
import { healthRoute, metricsRoute, snapshotRoute } from './system.ts';

/** What the door needs. */
export interface MoltenDbDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Where the store is. */
  readonly directory: string;
}

type Routes = readonly (readonly ['GET' | 'POST' | 'DELETE', string, RouteHandler])[];

const HEALTH = '/system/health';

/** Creates the door of the compatibility routes. */
export function createMoltenDbDoor(options: MoltenDbDoorOptions): Door {
  const { dispatcher, maxBodyBytes } = options;
  const routes: Routes = [
    ['POST', '/login', loginRoute],
    ['POST', '/auth/delegate', delegateRoute],
    ['POST', '/auth/refresh', refreshRoute],
    ['DELETE', '/auth/tokens/:jti', revokeRoute],
    ['POST', '/set', setRoute],
    ['POST', '/update', updateRoute],
    ['POST', '/get', getRoute],
    ['POST', '/delete', deleteRoute],
    ['POST', '/schema', schemaRoute],
    ['GET', '/stats', statsRoute],
    ['POST', '/stats', statsRoute],
    ['POST', '/snapshot', snapshotRoute],
    ['GET', '/collections/:collection', getCollectionRoute],
    ['GET', '/collections/:collection/docs/:key', getDocumentRoute],
    ['POST', '/analytics', analyticsRoute],
    ['GET', HEALTH, healthRoute],
    ['GET', '/system/metrics', metricsRoute(options)],
  ];
  return (app) => {
    readBodies(app, maxBodyBytes);
    for (const [method, url, route] of routes) {
      const handler = compileHandler(dispatcher, route);
      // Health is answered under overload too: it tells whether anybody is there.
      const config = { isVital: url === HEALTH };
      app.route({ method, url, handler, config, exposeHeadRoute: method === 'GET' });
    }
    for (const url of new Set(routes.map(([, one]) => one))) refuseOtherMethods(app, url);
  };
}

/** A known path says which methods it takes. */
function refuseOtherMethods(app: FastifyInstance, url: string): void {
  const taken = HTTP_METHODS.filter((method) => app.hasRoute({ method, url }));
  const allow = taken.join(', ');
  app.route({
    method: HTTP_METHODS.filter((method) => !taken.includes(method)),
    url,
    handler: async ({ method }, reply) => {
      const error = `${method} is not a method of this path; it takes ${allow}`;
      const answer = reply.header('allow', allow);
      return await sendEnvelope(answer, { status: 405, body: { error, statusCode: 405 } });
    },
  });
}

/** Bodies come as bytes: who may not call is told so before anything is said about the payload. */
function readBodies(app: FastifyInstance, bodyLimit: number): void {
  refusePacked(app);
  app.removeAllContentTypeParsers();
  const parser = { parseAs: 'buffer', bodyLimit } as const;
  app.addContentTypeParser(
    'application/json',
    parser,
    async (_request: unknown, body: Buffer) => body,
  );
  app.setErrorHandler(async (error: unknown, request, reply) => {
    if (error instanceof DomainError) return await sendRefusal(reply, error, { request });
    const { status, text } = frameworkErrors(bodyLimit)[frameworkCodeOf(error)] ?? {
      status: 500,
      text: 'Internal server error',
    };
    return await sendEnvelope(reply, { status, body: { error: text, statusCode: status } });
  });
}

const MEGABYTE = 1024 * 1024;

function frameworkErrors(
  bytesMax: number,
): Readonly<Record<string, { readonly status: number; readonly text: string }>> {
  const max =
    bytesMax % MEGABYTE === 0 ? `${String(bytesMax / MEGABYTE)}MB` : `${String(bytesMax)} bytes`;
  return {
    FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, text: `Payload too large (max ${max})` },
    FST_ERR_CTP_INVALID_MEDIA_TYPE: {
      status: 415,
      text: 'Expected the content type application/json',
    },
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
      status: 400,
      text: 'The body is not as long as announced',
    },
  };
}
