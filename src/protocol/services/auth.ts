import { create } from '@bufbuild/protobuf';

import {
  LoginResponseSchema,
  type AuthService,
  type LoginResponse,
} from '../../../gen/molten/v1/auth_pb.ts';
import type { Access } from '../../domain/access/access.ts';
import type { Principal } from '../../domain/access/principal.ts';
import type { Challenged, SignedIn, SignInContext } from '../../domain/access/sign-in.ts';
import type { SignedToken } from '../../domain/access/tokens.ts';
import { selfOf } from '../../domain/access/user-rules.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { hostOf, type CallContext, type CallOrigin, type ServiceImplementation } from '../call.ts';
import { toPrincipal, toSession } from '../mapping/access.ts';
import { fromDuration, toDuration, toTimestamp } from '../mapping/time.ts';

type Service = ServiceImplementation<typeof AuthService>;

/** What proxies add, and browsers for pages of others. */
const INDIRECT = [
  ...['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'],
  ...['cf-connecting-ip', 'true-client-ip', 'origin', 'sec-fetch-site'],
];
const LOOPBACK_HOST = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d+)?$/;

/** It comes straight from a program on this machine: from no proxy, and from no page in a browser. */
function isDirect(origin: CallOrigin): boolean {
  return (
    LOOPBACK_HOST.test(hostOf(origin)) &&
    INDIRECT.every((name) => origin.header(name) === undefined)
  );
}

/** The AuthService over the domain. */
export function createAuthService(access: Access): Service {
  const show = createShow(access);
  return {
    ...createSignInCalls(access, show),
    ...createSignOnCalls(access, show),
    ...createSessionCalls(access, show),
    ...createTokenCalls(access, show),
    ...createProfileCalls(access),
  };
}

function createSignInCalls(
  access: Access,
  show: Show,
): Pick<
  Service,
  'getSetup' | 'completeSetup' | 'login' | 'answerChallenge' | 'refreshSession' | 'impersonate'
> {
  const { setup, signIns, impersonation, rootUser } = access;
  return {
    async getSetup() {
      return { open: setup.isOpen() };
    },
    async completeSetup({ password, setupToken: token }, { origin }) {
      await setup.complete({
        password,
        token,
        address: origin.address,
        isDirect: isDirect(origin),
      });
      return { user: rootUser };
    },
    async login({ username, password, ttl }, context) {
      setup.demandClosed();
      return show.login(await signIns.login({ username, password }, contextOf(context, ttl)));
    },
    async answerChallenge({ challenge, code, ttl }, context) {
      setup.demandClosed();
      return show.signedIn(await signIns.answer(challenge, code, contextOf(context, ttl)));
    },
    async refreshSession({ refreshToken, ttl }) {
      return show.signedIn(await signIns.refresh(refreshToken, fromDuration(ttl)));
    },
    async impersonate({ user, ttl }, { principal }) {
      return show.token(await impersonation.impersonate(principal, user, fromDuration(ttl)));
    },
  };
}

function createSignOnCalls(
  access: Access,
  show: Show,
): Pick<
  Service,
  'listSignOnProviders' | 'beginSignOn' | 'finishSignOn' | 'beginDeviceSignOn' | 'pollDeviceSignOn'
> {
  const { singleSignOn, setup } = access;
  return {
    async listSignOnProviders() {
      return { providers: [...singleSignOn.providers] };
    },
    async beginSignOn({ provider, redirectUri }) {
      setup.demandClosed();
      return await singleSignOn.begin(provider, redirectUri);
    },
    async finishSignOn({ signOn, callbackUrl, ttl }, context) {
      setup.demandClosed();
      const result = await singleSignOn.finish(signOn, callbackUrl, contextOf(context, ttl));
      return { login: show.login(result) };
    },
    async beginDeviceSignOn({ provider }) {
      setup.demandClosed();
      const { intervalMs, expiresAtMs, ...start } = await singleSignOn.beginDevice(provider);
      const interval = toDuration(intervalMs);
      return { ...start, interval, expireTime: toTimestamp(expiresAtMs) };
    },
    async pollDeviceSignOn({ signOn, ttl }, context) {
      setup.demandClosed();
      const result = await singleSignOn.pollDevice(signOn, contextOf(context, ttl));
      return result === undefined ? { pending: true } : { login: show.login(result) };
    },
  };
}

function createSessionCalls(
  access: Access,
  show: Show,
): Pick<Service, 'whoAmI' | 'logout' | 'listSessions' | 'endSession'> {
  const { sessions, accounts, control, apiKeyControl } = access;
  return {
    async whoAmI(_request, { principal }) {
      return { principal: show.principal(principal) };
    },
    async logout(_request, { principal }) {
      const { chain, kind, impersonator = '' } = principal.credential ?? {};
      const isSession = kind === 'session' && impersonator === '';
      if (isSession && chain !== undefined) await sessions.end(chain.userId, chain.sessionId);
      else if (kind === 'apiKey') await apiKeyControl.revoke(principal, principal.tokenId);
      else await control.revokeToken(principal, principal.tokenId);
      return {};
    },
    async listSessions(_request, { principal }) {
      const { user, sessionId } = selfOf(accounts, principal.credential);
      const found = await sessions.list(user.id);
      return { sessions: found.map((one) => toSession(one, sessionId)) };
    },
    async endSession({ sessionId }, { principal }) {
      const { user } = selfOf(accounts, principal.credential);
      const ended = await sessions.end(user.id, sessionId);
      if (ended === undefined) {
        throw new DomainError('SESSION_NOT_FOUND', 'you have no session of this id');
      }
      return { sessionId };
    },
  };
}

function createTokenCalls(
  access: Access,
  show: Show,
): Pick<Service, 'delegateToken' | 'refreshToken' | 'revokeToken'> {
  const { delegation, control } = access;
  return {
    async delegateToken({ clientId, scopes, ttl, callsPerMinute, renewableFor }, { principal }) {
      const request = {
        ...{ clientId: clientId === '' ? undefined : clientId, scopes, callsPerMinute },
        ...{ ttlMs: fromDuration(ttl), renewableMs: fromDuration(renewableFor) },
      };
      return show.token(await delegation.delegate(principal, request));
    },
    async refreshToken({ ttl }, { principal }) {
      return show.token(await delegation.renew(principal, fromDuration(ttl)));
    },
    async revokeToken({ tokenId }, { principal }) {
      await control.revokeToken(principal, tokenId);
      return { tokenId };
    },
  };
}

function createProfileCalls({
  profiles,
  accounts,
  secondFactors,
}: Access): Pick<
  Service,
  | 'changePassword'
  | 'enrolSecondFactor'
  | 'confirmSecondFactor'
  | 'renewRecoveryCodes'
  | 'removeSecondFactor'
> {
  const nameOf = ({ principal }: CallContext): string =>
    selfOf(accounts, principal.credential).name;
  return {
    async changePassword({ oldPassword, newPassword }, { principal }) {
      await profiles.changePassword(principal, oldPassword, newPassword);
      return {};
    },
    async enrolSecondFactor({ password }, context) {
      await profiles.demandPassword(context.principal, password);
      return await secondFactors.enrol(nameOf(context));
    },
    async confirmSecondFactor({ code }, context) {
      return { recoveryCodes: [...(await profiles.confirmSecondFactor(context.principal, code))] };
    },
    async renewRecoveryCodes({ code }, context) {
      await profiles.demandCode(context.principal, code);
      return { recoveryCodes: [...(await secondFactors.renewRecoveryCodes(nameOf(context)))] };
    },
    async removeSecondFactor({ code }, context) {
      await profiles.removeSecondFactor(context.principal, code);
      return {};
    },
  };
}

function contextOf(context: CallContext, ttl: Parameters<typeof fromDuration>[0]): SignInContext {
  const { address } = context.origin;
  const client = context.origin.header('user-agent') ?? '';
  return { address, client, ttlMs: fromDuration(ttl), signal: context.signal };
}

interface Show {
  principal(principal: Principal): ReturnType<typeof toPrincipal>;
  token(signed: SignedToken): {
    readonly token: string;
    readonly principal: ReturnType<typeof toPrincipal>;
  };
  login(result: SignedIn | Challenged): LoginResponse;
  signedIn(result: SignedIn): {
    readonly token: string;
    readonly principal: ReturnType<typeof toPrincipal>;
    readonly refreshToken: string;
  };
}

function toLogin(result: SignedIn | Challenged, signedIn: Show['signedIn']): LoginResponse {
  if (result.kind === 'signedIn') return create(LoginResponseSchema, signedIn(result));
  const { challenge, expiresAtMs } = result;
  const challengeExpireTime = toTimestamp(expiresAtMs);
  return create(LoginResponseSchema, { challenge, challengeExpireTime });
}

function createShow({ authenticator }: Access): Show {
  const tokenOf = ({ token, verified }: SignedToken): ReturnType<Show['token']> => ({
    token,
    principal: toPrincipal(authenticator.principalOf(verified)),
  });
  const signedIn: Show['signedIn'] = ({ access, refreshToken }) => ({
    ...tokenOf(access),
    refreshToken,
  });
  return {
    ...{ principal: toPrincipal, token: tokenOf, signedIn },
    login: (result) => toLogin(result, signedIn),
  };
}
