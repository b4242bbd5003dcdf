/**
 * Routes of systems that others were written for: a payload in, RPCs, a body out. What is checked, and
 * what is allowed, is decided by the interceptors where it is for everybody; a dialect says in which
 * words and statuses the answer is given.
 */
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { createScopeSet } from '../../domain/access/scope-set.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { createCaller, type Caller } from '../caller.ts';
import type { Dispatcher } from '../dispatcher.ts';
import {
  createOrigin,
  HTTP_METHODS,
  type Door,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from '../http/door.ts';
import { frameworkCodeOf } from '../http/framework-error.ts';
import { refusePacked } from '../http/read-body.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toWireError } from '../mapping/error.ts';
import { parseJsonBody } from '../rest/body.ts';

/** What is sent back. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** One method of one path. */
export interface CompatRoute {
  readonly methods: readonly ('GET' | 'POST' | 'PUT' | 'DELETE')[];
  readonly url: string;
  /** Who may learn what is wrong with a payload, or with the method: who could call. */
  readonly isFor: 'everybody' | 'callers' | 'administrators';
  /** The status of success. Default 200. */
  readonly status?: number;
  run(request: FastifyRequest, caller: Caller): Promise<unknown>;
}

/** How a system says no. */
export interface Dialect {
  readonly routes: readonly CompatRoute[];
  refuse(error: unknown, request: FastifyRequest, route: CompatRoute | undefined): Answer;
}

/** A request that a route refuses by itself, in the words of its system. */
export class RouteRefusal extends Error {
  override readonly name = 'RouteRefusal';
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** What a door of a dialect needs. */
export interface CompatDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly dialect: Dialect;
}

/** No payload of these routes needs more. */
const BODY_BYTES_MAX = 1024 * 1024;

/** Creates the door of a dialect. */
export function createCompatDoor({ dispatcher, dialect }: CompatDoorOptions): Door {
  return (app) => {
    readBodies(app, dialect);
    for (const route of dialect.routes) {
      app.route({
        ...{ method: [...route.methods], url: route.url },
        handler: compileHandler(dispatcher, dialect, route),
      });
    }
    for (const route of otherMethods(dialect.routes)) {
      app.route({
        ...{ method: [...route.refused], url: route.url },
        handler: compileHandler(dispatcher, dialect, route),
      });
    }
  };
}

function compileHandler(
  dispatcher: Dispatcher,
  dialect: Dialect,
  route: CompatRoute,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    const caller = createCaller(dispatcher, createOrigin(request, 'compat'));
    try {
      const body = await route.run(request, caller).catch(async (error: unknown) => {
        if (error instanceof RouteRefusal) await admit(caller, route);
        throw error;
      });
      return await sendJson(reply, { status: route.status ?? 200, body });
    } catch (error) {
      if (isNotAllowed(error)) reply.header('allow', error.allow);
      return await sendRefusal(reply, error, dialect.refuse(error, request, route));
    }
  };
}

/** Who may not do it at all is told that, and nothing about the payload. */
async function admit(caller: Caller, { isFor }: CompatRoute): Promise<void> {
  if (isFor === 'everybody') return;
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  const scopes = createScopeSet(principal?.scopes ?? []);
  if (isFor === 'callers' || scopes.coversStore('users')) return;
  throw new DomainError('SCOPE_MISSING', 'this needs the scope users:*:*');
}

class MethodRefusal extends RouteRefusal {
  readonly allow: string;

  constructor(allow: string) {
    super('method not allowed', 405);
    this.allow = allow;
  }
}

function isNotAllowed(error: unknown): error is MethodRefusal {
  return error instanceof MethodRefusal;
}

type RefusingRoute = CompatRoute & { readonly refused: readonly (typeof HTTP_METHODS)[number][] };

/** Known paths refuse the methods they do not take. */
function otherMethods(routes: readonly CompatRoute[]): readonly RefusingRoute[] {
  return [...Map.groupBy(routes, ({ url }) => url).values()].map((same) => {
    const [first] = same;
    const taken = same.flatMap(({ methods }) => methods);
    return {
      ...{ methods: [], url: first?.url ?? '', isFor: first?.isFor ?? 'callers' },
      refused: HTTP_METHODS.filter((method) => !taken.some((one) => one === method)),
      run: () => Promise.reject(new MethodRefusal(taken.join(', '))),
    };
  });
}

async function sendRefusal(
  reply: FastifyReply,
  error: unknown,
  answer: Answer,
): Promise<FastifyReply> {
  setRetryAfter(reply, toWireError(error));
  if (answer.status === 401) reply.header('www-authenticate', 'Bearer');
  return await sendJson(reply, answer);
}

async function sendJson(reply: FastifyReply, { status, body }: Answer): Promise<FastifyReply> {
  return await reply.code(status).type('application/json').send(JSON.stringify(body));
}

/** Bodies come as bytes, whatever they are called: clients of these systems seldom say. */
function readBodies(app: FastifyInstance, dialect: Dialect): void {
  refusePacked(app);
  app.removeAllContentTypeParsers();
  const parser = { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX } as const;
  app.addContentTypeParser('*', parser, async (_request: unknown, body: Buffer) => body);
  app.setErrorHandler(async (error: unknown, request, reply) => {
    if (error instanceof DomainError) {
      return await sendRefusal(reply, error, dialect.refuse(error, request, undefined));
    }
    const refusal =
      frameworkCodeOf(error) === 'FST_ERR_CTP_BODY_TOO_LARGE'
        ? new RouteRefusal('request body too large', 413)
        : new RouteRefusal('invalid request');
    return await sendJson(reply, dialect.refuse(refusal, request, undefined));
  });
}

/** The members of a JSON object. */
export type Payload = Readonly<Record<string, unknown>>;

/** The JSON object of a body; refused as `invalid request` when it is none. */
export function payloadOf({ body }: FastifyRequest): Payload {
  let value: unknown;
  try {
    value = Buffer.isBuffer(body) ? parseJsonBody(body) : undefined;
  } catch {
    throw new RouteRefusal('invalid request');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Payload;
  throw new RouteRefusal('invalid request');
}

/** A text member; absent is empty. Refused when it is no text. */
export function textOf(payload: Payload, name: string): string {
  const value = payload[name] ?? '';
  if (typeof value === 'string') return value;
  throw new RouteRefusal(`invalid request: ${name} must be a string`);
}
