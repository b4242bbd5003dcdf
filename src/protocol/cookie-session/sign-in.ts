import { AuthService, type LoginResponse } from '../../../gen/molten/v1/auth_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { Caller } from '../caller.ts';

/** What a sign-in comes to. */
export type SignIn = Pick<LoginResponse, 'token' | 'refreshToken' | 'principal' | 'challenge'> &
  Partial<Pick<LoginResponse, 'challengeExpireTime'>>;

/** The sets of members that a body may have, each a way to sign in. */
const WAYS = [
  ['username', 'password'],
  ['challenge', 'code'],
  ['signOn', 'callbackUrl'],
] as const;

/** Signs in by what a body holds: a password, the code for a challenge, or the way back from a provider. */
export async function readSignIn(body: unknown, caller: Caller): Promise<SignIn> {
  const members = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  const isText = members.every(([, value]) => typeof value === 'string');
  const way = WAYS.find((names) =>
    isMade(
      names,
      members.map(([name]) => name),
    ),
  );
  if (!isText || way === undefined) throw malformed();
  const values = new Map<string, string>(members as readonly (readonly [string, string])[]);
  const [first = '', second = ''] = way.map((name) => values.get(name) ?? '');
  switch (way[0]) {
    case 'username':
      return await caller.call(AuthService.method.login, { username: first, password: second });
    case 'challenge': {
      const answer = { challenge: first, code: second };
      const signedIn = await caller.call(AuthService.method.answerChallenge, answer);
      return { ...signedIn, challenge: '' };
    }
    case 'signOn': {
      const finish = { signOn: first, callbackUrl: second };
      const { login } = await caller.call(AuthService.method.finishSignOn, finish);
      if (login === undefined) throw malformed();
      return login;
    }
  }
}

function isMade(names: readonly string[], of: readonly string[]): boolean {
  return names.length === of.length && names.every((name) => of.includes(name));
}

function malformed(): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    'the body must hold the texts username and password, challenge and code, or signOn and callbackUrl',
  );
}
