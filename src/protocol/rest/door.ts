/**
 * REST: every RPC that has a `google.api.http` rule, as JSON over HTTP. The rules are compiled at start;
 * a request becomes the message of its RPC and goes the way of all calls. Errors are problem documents
 * (RFC 9457), streams are newline-delimited JSON or server-sent events, documents carry their version as entity tag.
 */
import { toJson } from '@bufbuild/protobuf';

import { DomainError } from '../../errors/domain-error.ts';
import type { Dispatcher } from '../dispatcher.ts';
import {
  createOrigin,
  routeConfig,
  type Door,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from '../http/door.ts';
import { refusePacked } from '../http/read-body.ts';
import { toProblem } from '../mapping/error.ts';
import { REST_JSON } from '../mapping/json-options.ts';
import { parseJsonBody } from './body.ts';
import { compilePrecondition, compileTag, namesTag } from './precondition.ts';
import { problemWords, sendProblem } from './problem.ts';
import { compileRequest } from './request.ts';
import { routesOf, type HttpMethod, type Route } from './route.ts';
import { sendStream } from './stream.ts';

/** What the door needs. */
export interface RestDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly maxBodyBytes: number;
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

const PROBLEM = 'application/problem+json';

/** Creates the REST door. */
export function createRestDoor({ dispatcher, maxBodyBytes }: RestDoorOptions): Door {
  return (app) => {
    refusePacked(app);
    app.removeAllContentTypeParsers();
    const parser = { parseAs: 'buffer', bodyLimit: maxBodyBytes } as const;
    app.addContentTypeParser('application/json', parser, async (_request: unknown, body: Buffer) =>
      parseJsonBody(body),
    );
    const routes = [...dispatcher.methods.values()].flatMap(routesOf);
    for (const route of routes) {
      const handle = compileHandler(route, dispatcher);
      app.route({
        ...{ method: route.method, url: route.url, handler: handle },
        exposeHeadRoute: route.method === 'GET',
        config: { ...routeConfig(route.rpc), words: problemWords },
      });
    }
    refuseOtherMethods(app, routes);
  };
}

function compileHandler(route: Route, dispatcher: Dispatcher): Handler {
  const build = compileRequest(route);
  const readPrecondition = compilePrecondition(route.rpc);
  const tagOf = compileTag(route.rpc);
  const { output } = route.rpc;
  return async (request, reply) => {
    try {
      const message = build(request);
      readPrecondition(request, message);
      const result = await dispatcher.dispatch(route.rpc, message, createOrigin(request, 'rest'));
      if (Symbol.asyncIterator in result) return await sendStream(route.rpc, reply, result);
      const tag = tagOf(result);
      if (tag !== undefined) {
        reply.header('etag', tag);
        if (namesTag(request.headers['if-none-match'], tag)) return await reply.code(304).send();
      }
      return await sendJson(reply, JSON.stringify(toJson(output, result, REST_JSON)));
    } catch (error) {
      return await sendProblem(request, reply, error);
    }
  };
}

async function sendJson(reply: FastifyReply, body: string): Promise<FastifyReply> {
  return await reply.type('application/json; charset=utf-8').send(body);
}

const ALL_METHODS: readonly HttpMethod[] = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'];

/** Known paths say which methods they take; unknown paths are not found. */
function refuseOtherMethods(app: FastifyInstance, routes: readonly Route[]): void {
  for (const url of new Set(routes.map((route) => route.url))) {
    // Other doors may serve more methods of a path.
    const taken = ALL_METHODS.filter((method) => app.hasRoute({ method, url }));
    const hasHead = app.hasRoute({ method: 'HEAD', url });
    const allow = [...taken, ...(hasHead ? ['HEAD'] : [])].join(', ');
    app.route({
      method: ALL_METHODS.filter((method) => !taken.includes(method)),
      url,
      handler: async (request, reply) => {
        const message = `${request.method} is not a method of this path; it takes ${allow}`;
        const metadata = { method: request.method, allow };
        const error = new DomainError('ROUTE_NOT_FOUND', message, { metadata });
        const problem = { ...toProblem(error, request.id), status: 405, title: 'not allowed' };
        return await reply
          .code(405)
          .header('allow', allow)
          .type(PROBLEM)
          .send(JSON.stringify(problem));
      },
    });
  }
}
