/**
 * The routes of Aegis below `/api/v1/auth`, over AuthService and the caller's own profile.
 * `docs/reference/aegis-compatibility.md` lists where this answers differently on purpose.
 */
import {
  AuthService,
  type AnswerChallengeResponse,
  type LoginResponse,
} from '../../../../gen/molten/v1/auth_pb.ts';
import { UserService, type User } from '../../../../gen/molten/v1/users_pb.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';
import { hasReason } from '../../../errors/domain-error.ts';
import { createCaller, withHeaders, type Caller } from '../../caller.ts';
import type { Dispatcher } from '../../dispatcher.ts';
import { createOrigin, type Door, type FastifyRequest } from '../../http/door.ts';
import { fromTimestamp } from '../../mapping/time.ts';
import { createCompatDoor, payloadOf, RouteRefusal, textOf, type CompatRoute } from '../routes.ts';
import { refuse } from './refusal.ts';

/** What the door needs. */
export interface AegisDoorOptions {
  readonly dispatcher: Dispatcher;
}

/** Sessions last as long as there: a day. */
const TTL = { seconds: 86_400n };
const BARE_TOKEN = /^[^\s]+$/;

/** Creates the door of Aegis. */
export function createAegisDoor({ dispatcher }: AegisDoorOptions): Door {
  return createCompatDoor({ dispatcher, dialect: { routes: routesOf(dispatcher), refuse } });
}

/** Calls with one token, whatever the headers say. */
type CallerWith = (request: FastifyRequest, token: string) => Caller;

function routesOf(dispatcher: Dispatcher): readonly CompatRoute[] {
  const callerWith: CallerWith = (request, token) => {
    const headers = { authorization: `Bearer ${token}`, 'x-api-key': undefined };
    return createCaller(dispatcher, withHeaders(createOrigin(request, 'compat'), headers));
  };
  const show: CompatRoute['run'] = async (request, caller) => {
    refuseTokenInUrl(request);
    const bare = request.headers.authorization ?? '';
    const isBare = BARE_TOKEN.test(bare);
    return await showUser(isBare ? callerWith(request, bare) : caller);
  };
  const paths = '/api/v1/auth';
  return [
    {
      ...{ methods: ['POST'], url: `${paths}/login`, isFor: 'everybody' },
      run: (request, caller) => login(request, caller, callerWith),
    },
    {
      ...{ methods: ['POST'], url: `${paths}/mfa/verify`, isFor: 'everybody' },
      run: (request, caller) => verify(request, caller, callerWith),
    },
    {
      ...{ methods: ['POST'], url: `${paths}/logout`, isFor: 'everybody' },
      run: (request) => logout(request, callerWith),
    },
    // A token in the URL is refused before anything else, so that its sender learns where it belongs.
    { methods: ['GET'], url: `${paths}/session`, isFor: 'everybody', run: show },
    { methods: ['GET'], url: `${paths}/me`, isFor: 'everybody', run: show },
  ];
}

async function login(
  request: FastifyRequest,
  caller: Caller,
  callerWith: CallerWith,
): Promise<unknown> {
  const payload = payloadOf(request);
  const credentials = {
    username: textOf(payload, 'username'),
    password: textOf(payload, 'password'),
  };
  const answer = await orElse(
    caller.call(AuthService.method.login, { ...credentials, ttl: TTL }),
    'Invalid credentials',
  );
  if (answer.challenge !== '') return { requires_mfa: true, token: answer.challenge };
  return await welcome(answer, (token) => callerWith(request, token));
}

async function verify(
  request: FastifyRequest,
  caller: Caller,
  callerWith: CallerWith,
): Promise<unknown> {
  const payload = payloadOf(request);
  const [challenge, code] = [textOf(payload, 'token'), textOf(payload, 'code')];
  const answer = await orElse(
    caller.call(AuthService.method.answerChallenge, { challenge, code, ttl: TTL }),
    'Invalid or expired code',
  );
  return await welcome(answer, (token) => callerWith(request, token));
}

/** One answer to whatever is wrong with what was shown, so that nobody learns what. */
async function orElse<T>(answer: Promise<T>, message: string): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const isRejected =
      hasReason(error, 'CREDENTIAL_INVALID') ||
      hasReason(error, 'CREDENTIAL_EXPIRED') ||
      hasReason(error, 'ARGUMENT_INVALID');
    throw isRejected ? new RouteRefusal(message, 401) : error;
  }
}

async function welcome(
  { token, principal }: LoginResponse | AnswerChallengeResponse,
  callerOf: (token: string) => Caller,
): Promise<unknown> {
  const user = await showUser(callerOf(token));
  const mustEnrol = principal?.secondFactorRequired === true;
  return { token, user, ...(mustEnrol ? { requires_mfa_setup: true } : {}) };
}

async function logout(request: FastifyRequest, callerWith: CallerWith): Promise<unknown> {
  const token = tokenIn(request);
  if (token === '') return { success: false };
  try {
    await callerWith(request, token).call(AuthService.method.logout, {});
    return { success: true };
  } catch (error) {
    const isUnknown =
      hasReason(error, 'CREDENTIAL_INVALID') ||
      hasReason(error, 'CREDENTIAL_EXPIRED') ||
      hasReason(error, 'CREDENTIAL_REVOKED');
    if (isUnknown) return { success: false };
    throw error;
  }
}

/** The token to end: of the body, or else of the header. */
function tokenIn(request: FastifyRequest): string {
  refuseTokenInUrl(request);
  const { body, headers } = request;
  const hasBody = Buffer.isBuffer(body) && body.length > 0;
  const named = hasBody ? textOf(payloadOf(request), 'token') : '';
  if (named !== '') return BARE_TOKEN.test(named) ? named : '';
  return /^(?:bearer +)?(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

function refuseTokenInUrl({ query }: FastifyRequest): void {
  if (!Object.hasOwn(query as object, 'token')) return;
  throw new RouteRefusal(
    'a token in the URL ends up in logs; send it in the header Authorization: Bearer <token>',
  );
}

async function showUser(caller: Caller): Promise<unknown> {
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  const { user } = await caller.call(UserService.method.getProfile, {});
  const createdAtMs = fromTimestamp(user?.createTime) ?? 0;
  return {
    ...{ id: user?.userId ?? '', username: user?.name ?? '', email: user?.email ?? '' },
    ...{ role: roleOf(principal?.scopes ?? [], user), mfa_enabled: user?.hasSecondFactor === true },
    created_at: new Date(createdAtMs).toISOString().replace(/\.\d{3}Z$/, 'Z'),
  };
}

/** The nearest of the three roles of Aegis. It is told, and decides nothing. */
function roleOf(scopes: readonly string[], user: User | undefined): string {
  const set = createScopeSet(scopes);
  if (set.isAdmin) return 'admin';
  const isOperator = set.coversStore('write') || user?.roles.includes('operator') === true;
  return isOperator ? 'operator' : 'viewer';
}
