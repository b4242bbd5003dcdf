/**
 * The HTTP API of MoltenDB 1.0, over the same calls as every other protocol. Each route turns its payload
 * into protobuf requests and their answers back into the shapes of the original; what is checked, and
 * what is allowed, is decided where it is for everybody. `docs/reference/moltendb-compatibility.md` lists
 * where this answers differently on purpose.
 */
import { DomainError } from '../../../errors/domain-error.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Dispatcher } from '../../dispatcher.ts';
import type { Door, FastifyInstance } from '../../http/door.ts';
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
}

type Routes = readonly (readonly ['GET' | 'POST' | 'DELETE', string, RouteHandler])[];

/** Creates the door of the compatibility routes. */
export function createMoltenDbDoor({ dispatcher, clock, maxBodyBytes }: MoltenDbDoorOptions): Door {
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
    ['GET', '/system/health', healthRoute],
    ['GET', '/system/metrics', metricsRoute(clock)],
  ];
  return (app) => {
    readBodies(app, maxBodyBytes);
    for (const [method, url, route] of routes) {
      app.route({ method, url, handler: compileHandler(dispatcher, route) });
    }
  };
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
    const { status, text } = FRAMEWORK_ERRORS[frameworkCodeOf(error)] ?? {
      status: 500,
      text: 'Internal server error',
    };
    return await sendEnvelope(reply, { status, body: { error: text, statusCode: status } });
  });
}

const FRAMEWORK_ERRORS: Readonly<Record<string, { status: number; text: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, text: 'Payload too large' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    status: 415,
    text: 'Expected the content type application/json',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { status: 400, text: 'The body is not as long as announced' },
};
