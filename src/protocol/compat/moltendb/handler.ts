import { AuthService } from '../../../../gen/molten/v1/auth_pb.ts';
import type { Action } from '../../../domain/access/scope.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';
import { DomainError } from '../../../errors/domain-error.ts';
import { createCaller, type Caller } from '../../caller.ts';
import type { Dispatcher } from '../../dispatcher.ts';
import { createOrigin, type FastifyReply, type FastifyRequest } from '../../http/door.ts';
import { sendRefusal, type ForbiddenText } from './envelope.ts';
import { Refusal } from './refusal.ts';

/** One route: payload in, RPCs, body out. */
export interface RouteHandler {
  /** What the caller must hold at least; checked before a malformed payload is told of. */
  readonly needs?: (request: FastifyRequest) => {
    readonly action: Action;
    readonly collection: string;
  };
  /** No token is needed. */
  readonly isPublic?: boolean;
  readonly forbidden?: ForbiddenText;
  readonly run: (request: FastifyRequest, caller: Caller) => Promise<unknown>;
}

/** Answers a request by a route; every failure is an envelope. */
export function compileHandler(
  dispatcher: Dispatcher,
  { needs, isPublic, forbidden, run }: RouteHandler,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    const origin = createOrigin(request, 'compat');
    const caller = createCaller(dispatcher, origin);
    try {
      const body = await run(request, caller).catch(async (error: unknown) => {
        const isPayload = error instanceof Refusal && error.status === 400;
        if (isPayload && isPublic !== true) await admit(request, caller, needs);
        throw error;
      });
      return await reply.type('application/json').send(JSON.stringify(body));
    } catch (error) {
      return await sendRefusal(reply, error, { request, ...(forbidden && { forbidden }) });
    }
  };
}

/** Who may not do it at all is told that, and nothing about the payload. */
async function admit(
  request: FastifyRequest,
  caller: Caller,
  needs: RouteHandler['needs'],
): Promise<void> {
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  if (needs === undefined) return;
  const { action, collection } = needs(request);
  const scopes = createScopeSet(principal?.scopes ?? []);
  if (scopes.reaches(action, collection)) return;
  throw new DomainError('SCOPE_MISSING', 'the token does not cover the collection', {
    metadata: { action, collection, key: '*' },
  });
}
