/**
 * The endpoints of OAuth 2.0 for those who verify tokens: introspection (RFC 7662), revocation (RFC 7009),
 * the public keys (RFC 7517) and a description of it all (RFC 8414). Each is a call of TokenService in
 * other shapes. A token is taken from the body of a form and from nowhere else.
 */
import { TokenService, type IntrospectTokenResponse } from '../../../gen/molten/v1/tokens_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
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
import { refusePacked } from '../http/read-body.ts';
import { frameworkCodeOf } from '../http/framework-error.ts';
import { parseTokenForm } from './form.ts';
import { describeServer, OAUTH_PATHS } from './metadata.ts';
import { OAuthError, sendOAuthError } from './refusal.ts';

/** What the door needs. */
export interface OAuthDoorOptions {
  readonly dispatcher: Dispatcher;
  /** `iss` and `aud` of tokens. */
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
}

type Answer = (
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
) => Promise<FastifyReply>;
type Method = 'GET' | 'POST';

/** A token is at most 256 KiB, and three times that when every character is escaped. */
const FORM_BYTES_MAX = 800 * 1024;
const NOT_ALLOWED = 405;
const KEYS_CACHED = 'public, max-age=300';

/** Creates the door. */
export function createOAuthDoor(options: OAuthDoorOptions): Door {
  const routes: readonly (readonly [Method, string, Answer])[] = [
    ['POST', OAUTH_PATHS.introspection, introspect(options)],
    ['POST', OAUTH_PATHS.revocation, revoke],
    ['GET', OAUTH_PATHS.keys, listKeys],
    ['GET', OAUTH_PATHS.metadata, showMetadata(options)],
  ];
  return (app) => {
    readForms(app);
    for (const [method, url, answer] of routes) {
      app.route({
        ...{ method, url, exposeHeadRoute: method === 'GET' },
        handler: compileHandler(options.dispatcher, answer),
      });
      refuseOtherMethods(app, method, url);
    }
  };
}

function compileHandler(
  dispatcher: Dispatcher,
  answer: Answer,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    try {
      const caller = createCaller(dispatcher, createOrigin(request, 'oauth'));
      return await answer(request, reply, caller);
    } catch (error) {
      return await sendOAuthError(reply, error);
    }
  };
}

function introspect({ tokenIssuer: iss, tokenAudience: aud }: OAuthDoorOptions): Answer {
  return async (request, reply, caller) => {
    const { token } = await readForm(request, caller);
    const found = await caller.call(TokenService.method.introspectToken, { token });
    const isSigned = found.tokenType === 'access_token';
    const body = found.active
      ? { ...toIntrospection(found), ...(isSigned ? { iss, aud } : {}) }
      : { active: false };
    return await sendJson(reply, body, 'no-store');
  };
}

/** Who may not ask at all is told that, and nothing about the form. */
async function readForm(request: FastifyRequest, caller: Caller): Promise<{ token: string }> {
  try {
    return parseTokenForm(request.body, request.query);
  } catch (error) {
    await caller.call(AuthService.method.whoAmI, {});
    throw error;
  }
}

function toIntrospection(found: IntrospectTokenResponse): Readonly<Record<string, unknown>> {
  const { subject, clientId, user, scopes, tokenId, expireTime, createTime } = found;
  return {
    ...{ active: true, scope: scopes.join(' '), token_type: 'Bearer' },
    ...{ sub: subject, username: user, jti: tokenId },
    ...(clientId === '' ? {} : { client_id: clientId }),
    ...(expireTime === undefined ? {} : { exp: Number(expireTime.seconds) }),
    ...(createTime === undefined ? {} : { iat: Number(createTime.seconds) }),
  };
}

const revoke: Answer = async (request, reply, caller) => {
  const { token } = parseTokenForm(request.body, request.query);
  await caller.call(TokenService.method.revokeShownToken, { token });
  return await reply.code(200).header('cache-control', 'no-store').send();
};

const listKeys: Answer = async (_request, reply, caller) => {
  const { keys } = await caller.call(TokenService.method.listSigningKeys, {});
  // Shared secrets have no public key, and are not in the list.
  const published = keys.flatMap(({ publicJwk }) => (publicJwk === '' ? [] : [publicJwk]));
  reply.type('application/jwk-set+json').header('cache-control', KEYS_CACHED);
  return await reply.send(`{"keys":[${published.join(',')}]}`);
};

function showMetadata({ tokenIssuer }: OAuthDoorOptions): Answer {
  return async (request, reply, caller) => {
    await caller.call(SystemService.method.getHealth, {});
    // It depends on the host that was asked, so that nobody may keep it for another.
    return await sendJson(reply, describeServer(request, tokenIssuer), 'no-store');
  };
}

async function sendJson(
  reply: FastifyReply,
  body: object,
  cacheControl: string,
): Promise<FastifyReply> {
  reply.type('application/json').header('cache-control', cacheControl);
  return await reply.send(JSON.stringify(body));
}

/** Forms come as bytes; any other content type is refused before it is read. */
function readForms(app: FastifyInstance): void {
  refusePacked(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: FORM_BYTES_MAX },
    async (_request: unknown, body: Buffer) => body,
  );
  app.setErrorHandler(async (error: unknown, _request, reply) => {
    if (error instanceof DomainError) return await sendOAuthError(reply, error);
    const { message, status } = FRAMEWORK_ERRORS[frameworkCodeOf(error)] ?? MALFORMED;
    return await sendOAuthError(reply, new OAuthError('invalid_request', message, status));
  });
}

interface Refused {
  readonly message: string;
  readonly status?: number;
}

const MALFORMED: Refused = { message: 'the request is malformed' };

const FRAMEWORK_ERRORS: Readonly<Record<string, Refused>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    message: `the form is larger than ${String(FORM_BYTES_MAX)} bytes`,
    status: 413,
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    message: 'the content type must be application/x-www-form-urlencoded',
  },
};

function refuseOtherMethods(app: FastifyInstance, taken: Method, url: string): void {
  const allow = taken === 'GET' ? ['GET', 'HEAD'] : ['POST'];
  app.route({
    ...{ method: HTTP_METHODS.filter((method) => !allow.includes(method)), url },
    handler: async (_request, reply) => {
      reply.header('allow', allow.join(', '));
      const message = `this path takes ${allow.join(' and ')}`;
      return await sendOAuthError(reply, new OAuthError('invalid_request', message, NOT_ALLOWED));
    },
  });
}
