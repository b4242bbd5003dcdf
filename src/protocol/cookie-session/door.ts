/**
 * `/session`: signing in, going on and leaving, for browsers. What it answers never holds a token; they
 * travel in cookies. Only pages of the same origin may use it, so that no other can sign anybody in.
 */
import { toJson } from '@bufbuild/protobuf';

import {
  AuthService,
  PrincipalSchema,
  type LoginResponse,
  type Principal,
} from '../../../gen/molten/v1/auth_pb.ts';
import { TokenService } from '../../../gen/molten/v1/tokens_pb.ts';
import { SESSION_IDLE_MS } from '../../domain/access/sessions.ts';
import { DomainError, hasReason } from '../../errors/domain-error.ts';
import { isAboutCredential } from '../../errors/reason.ts';
import type { Clock } from '../../platform/clock.ts';
import { hostOf, type CallOrigin } from '../call.ts';
import { createCaller, withHeaders, type Caller } from '../caller.ts';
import type { Dispatcher } from '../dispatcher.ts';
import {
  createOrigin,
  type Door,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from '../http/door.ts';
import { refusePacked } from '../http/read-body.ts';
import { toWireError } from '../mapping/error.ts';
import { REST_JSON } from '../mapping/json-options.ts';
import { fromTimestamp } from '../mapping/time.ts';
import { parseJsonBody } from '../rest/body.ts';
import { sendProblem } from '../rest/problem.ts';
import { clearCookies, findCookie, setCookie, type CookieKind } from './cookies.ts';
import type { CsrfTokens } from './csrf.ts';
import { demandOwnPage } from './own-page.ts';
import { createRefreshes } from './refreshes.ts';
import { readSignIn } from './sign-in.ts';

/** What the door needs. */
export interface CookieSessionDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly csrf: CsrfTokens;
  /** The server itself speaks TLS. */
  readonly needsTls: boolean;
}

/** One request on its way. */
interface Visit {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** With the cookie of the session, and without any other credential. */
  readonly origin: CallOrigin;
  /** Calls as nobody. */
  readonly anonymous: Caller;
  /** The browser speaks TLS, to this server or to what stands before it. */
  readonly isSecure: boolean;
}

type Route = (visit: Visit) => Promise<FastifyReply>;

const BODY_BYTES_MAX = 64 * 1024;
const MS_PER_SECOND = 1000;

/** Creates the door of cookie sessions. */
export function createCookieSessionDoor(options: CookieSessionDoorOptions): Door {
  const visits = new CookieSessions(options);
  return (app) => {
    readJson(app);
    const answer = (run: Route) => (request: FastifyRequest, reply: FastifyReply) =>
      visits.serve(request, reply, run);
    app.get(
      '/session',
      answer((visit) => visits.show(visit)),
    );
    app.post(
      '/session',
      { bodyLimit: BODY_BYTES_MAX },
      answer((visit) => visits.signIn(visit)),
    );
    app.post(
      '/session/refresh',
      { bodyLimit: BODY_BYTES_MAX },
      answer((visit) => visits.refresh(visit)),
    );
    app.delete(
      '/session',
      { bodyLimit: BODY_BYTES_MAX },
      answer((visit) => visits.leave(visit)),
    );
  };
}

/** Only JSON: another site can have a browser send forms and text without asking. */
function readJson(app: FastifyInstance): void {
  refusePacked(app);
  app.removeAllContentTypeParsers();
  const parser = { parseAs: 'buffer' } as const;
  app.addContentTypeParser('application/json', parser, async (_request: unknown, body: Buffer) =>
    parseJsonBody(body),
  );
}

class CookieSessions {
  readonly #options: CookieSessionDoorOptions;
  readonly #refreshes;

  constructor(options: CookieSessionDoorOptions) {
    this.#options = options;
    this.#refreshes = createRefreshes(options.clock);
  }

  async serve(request: FastifyRequest, reply: FastifyReply, run: Route): Promise<FastifyReply> {
    const none = { authorization: undefined, 'x-api-key': undefined };
    const origin = withHeaders(createOrigin(request, 'rest'), none);
    const nobody = withHeaders(origin, { cookie: undefined });
    const anonymous = createCaller(this.#options.dispatcher, nobody);
    const page = origin.header('origin');
    // A browser says truly what page it shows; that over TLS gets a cookie for TLS, behind a proxy too.
    const isSecure = request.protocol === 'https' || page === `https://${hostOf(origin)}`;
    try {
      demandOwnPage(origin, { isSecure, allowed: [] });
      return await run({ request, reply, origin, anonymous, isSecure });
    } catch (error) {
      return await sendProblem(request, reply, error);
    }
  }

  async show({ origin, reply }: Visit): Promise<FastifyReply> {
    const caller = createCaller(this.#options.dispatcher, origin);
    const { principal } = await caller.call(AuthService.method.whoAmI, {}).catch(inOurWords);
    return await reply.send(this.#describe(principal));
  }

  async signIn(visit: Visit): Promise<FastifyReply> {
    const login = await readSignIn(visit.request.body, visit.anonymous);
    if (login.challenge !== '') {
      const { challenge, challengeExpireTime } = login;
      const ends = fromTimestamp(challengeExpireTime) ?? 0;
      const challengeExpireText = new Date(ends).toISOString();
      return await visit.reply.send({ challenge, challengeExpireTime: challengeExpireText });
    }
    // What this browser was signed in as before ends; a session is never carried over.
    const before = this.#findCookie(visit, 'refresh');
    if (before !== undefined) await revokeShown(visit, before);
    return await this.#welcome(visit, login);
  }

  async refresh(visit: Visit): Promise<FastifyReply> {
    const refreshToken = this.#findCookie(visit, 'refresh');
    if (refreshToken === undefined) throw noSession();
    try {
      const answer = await this.#refreshes.share(refreshToken, visit.origin, () =>
        visit.anonymous.call(AuthService.method.refreshSession, { refreshToken }),
      );
      return await this.#welcome(visit, answer);
    } catch (error) {
      if (isCredential(error)) visit.reply.header('set-cookie', [...clearCookies(visit.isSecure)]);
      throw error;
    }
  }

  async leave(visit: Visit): Promise<FastifyReply> {
    const caller = createCaller(this.#options.dispatcher, visit.origin);
    try {
      await caller.call(AuthService.method.logout, {});
    } catch (error) {
      if (!isOver(error)) throw error;
      // The token has ended before the session: what refreshes it shows which one to end.
      const refreshToken = this.#findCookie(visit, 'refresh');
      if (refreshToken !== undefined) await revokeShown(visit, refreshToken);
    }
    visit.reply.header('set-cookie', [...clearCookies(visit.isSecure)]);
    return await visit.reply.code(204).send();
  }

  async #welcome(
    { reply, isSecure }: Visit,
    { token, refreshToken, principal }: Pick<LoginResponse, 'token' | 'refreshToken' | 'principal'>,
  ): Promise<FastifyReply> {
    const endsAtMs = fromTimestamp(principal?.expireTime) ?? 0;
    const leftMs = Math.max(0, endsAtMs - this.#options.clock.now());
    const seconds = Math.floor(leftMs / MS_PER_SECOND);
    const idle = SESSION_IDLE_MS / MS_PER_SECOND;
    reply.header('set-cookie', [
      setCookie('session', token, { isSecure, seconds }),
      setCookie('refresh', refreshToken, { isSecure, seconds: idle }),
    ]);
    return await reply.send(this.#describe(principal));
  }

  #describe(principal: Principal | undefined): Readonly<Record<string, unknown>> {
    if (principal === undefined) throw noSession();
    const shown = toJson(PrincipalSchema, principal, REST_JSON) as Readonly<
      Record<string, unknown>
    >;
    const csrfToken = this.#options.csrf.tokenOf(principal.sessionId);
    return { principal: shown, expireTime: shown['expireTime'], csrfToken };
  }

  #findCookie({ origin }: Visit, kind: CookieKind): string | undefined {
    const { needsTls } = this.#options;
    return findCookie(origin.header('cookie'), kind, { needsTls })?.value;
  }
}

async function revokeShown({ anonymous }: Visit, token: string): Promise<void> {
  await anonymous.call(TokenService.method.revokeShownToken, { token });
}

/** A token, which others are told to send, is of no use here. */
function inOurWords(error: unknown): never {
  throw hasReason(error, 'CREDENTIAL_MISSING') ? noSession() : error;
}

function isCredential(error: unknown): boolean {
  return isAboutCredential(toWireError(error).reason);
}

function isOver(error: unknown): boolean {
  const { reason } = toWireError(error);
  return isCredential(error) && reason !== 'CREDENTIAL_INVALID';
}

function noSession(): DomainError {
  return new DomainError('CREDENTIAL_MISSING', 'there is no session; sign in with POST /session');
}
