/** `/v1/auth/login` and `/me`. */
import { AuthService, CredentialKind, type Principal } from '../../../../gen/molten/v1/auth_pb.ts';
import { UserService } from '../../../../gen/molten/v1/users_pb.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';
import { hasReason } from '../../../errors/domain-error.ts';
import type { Caller } from '../../caller.ts';
import type { FastifyRequest } from '../../http/door.ts';
import { payloadOf, RouteRefusal, textOf, type CompatRoute } from '../routes.ts';
import { secondsOf } from './users.ts';

/** Tokens live as long as there: a day. Here they can be revoked before. */
const TTL = { seconds: 86_400n };

/** The routes of who calls. */
export const sessionRoutes: readonly CompatRoute[] = [
  { methods: ['POST'], url: '/v1/auth/login', isFor: 'everybody', run: login },
  { methods: ['GET', 'POST'], url: '/v1/auth/me', isFor: 'callers', run: (_, me) => showMe(me) },
];

async function login(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const payload = payloadOf(request);
  const credentials = {
    username: textOf(payload, 'username'),
    password: textOf(payload, 'password'),
  };
  try {
    const answer = await caller.call(AuthService.method.login, { ...credentials, ttl: TTL });
    if (answer.challenge !== '') {
      throw new RouteRefusal('a second factor is required; sign in at /v1/sessions', 403);
    }
    return { token: answer.token, expiresAt: secondsOf(answer.principal?.expireTime) };
  } catch (error) {
    const isRejected =
      hasReason(error, 'CREDENTIAL_INVALID') || hasReason(error, 'ARGUMENT_INVALID');
    throw isRejected ? new RouteRefusal('invalid credentials', 401) : error;
  }
}

async function showMe(caller: Caller): Promise<unknown> {
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  const { isAdmin } = createScopeSet(principal?.scopes ?? []);
  const createdAt = isSignIn(principal) ? await findCreation(caller) : 0;
  return { username: principal?.user ?? '', admin: isAdmin, createdAt };
}

/** Only who has signed in is shown a profile; keys and delegated tokens are not. */
function isSignIn(principal: Principal | undefined): boolean {
  return principal?.credentialKind === CredentialKind.SESSION && principal.impersonator === '';
}

async function findCreation(caller: Caller): Promise<number> {
  const { user } = await caller.call(UserService.method.getProfile, {});
  return secondsOf(user?.createTime);
}
