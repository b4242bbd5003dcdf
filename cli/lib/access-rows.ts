/** Users, roles, sessions, tokens and keys as people and scripts read them. */
import type { ApiKey } from '../../gen/molten/v1/api_keys_pb.ts';
import type { Session } from '../../gen/molten/v1/auth_pb.ts';
import type { RevocationImpact, SigningKey, Token } from '../../gen/molten/v1/tokens_pb.ts';
import { UserStateSchema, type Role, type User } from '../../gen/molten/v1/users_pb.ts';
import type { Row } from './table.ts';
import { isoOf } from './times.ts';

/** What is said where there is no end. */
const NEVER = 'never';

/** A user; what is not set is left out. */
export function toUserRow(user: User): Row {
  const { name, userId, roles, scopes, displayName, email, identities } = user;
  return {
    ...{ name, state: UserStateSchema.value[user.state]?.localName.toLowerCase(), roles, scopes },
    ...(displayName === '' ? {} : { displayName }),
    ...(email === '' ? {} : { email }),
    ...{ password: user.hasPassword, secondFactor: secondFactorOf(user) },
    ...{ login: isoOf(user.loginTime) ?? NEVER, created: isoOf(user.createTime), id: userId },
    ...(user.waitTime === undefined ? {} : { waitsUntil: isoOf(user.waitTime) }),
    ...(identities.length === 0 ? {} : { identities: identities.map(toIdentity) }),
  };
}

function secondFactorOf({ hasSecondFactor, secondFactorRequired }: User): string {
  if (hasSecondFactor) return 'yes';
  return secondFactorRequired ? 'required' : 'no';
}

function toIdentity({ provider, issuer, subject }: User['identities'][number]): object {
  return { provider, issuer, subject };
}

/** A role. */
export function toRoleRow(role: Role): Row {
  const { name, description, scopes, secondFactorRequired, builtIn } = role;
  return { name, scopes, secondFactor: secondFactorRequired, builtIn, description };
}

/** A sign-in. */
export function toSessionRow(session: Session): Row {
  const { sessionId, address, client, methods, current } = session;
  return {
    ...{ session: sessionId, current, methods, address, client },
    ...{ created: isoOf(session.createTime), used: isoOf(session.useTime) },
    expires: isoOf(session.expireTime),
  };
}

/** A delegated token. */
export function toTokenRow(token: Token): Row {
  const { tokenId, clientId, user, parentId, depth, scopes, callsPerMinute, revoked } = token;
  return {
    ...{
      token: tokenId,
      client: clientId,
      user,
      scopes,
      expires: isoOf(token.expireTime),
      revoked,
    },
    ...{ parent: parentId, depth, created: isoOf(token.createTime) },
    ...{ renewableUntil: isoOf(token.grantExpireTime), callsPerMinute },
  };
}

/** An API key, without its text. */
export function toApiKeyRow(apiKey: ApiKey): Row {
  const { apiKeyId, environment, owner, description, scopes, rotatedTo } = apiKey;
  return {
    ...{ key: apiKeyId, environment, owner, description, scopes },
    ...{ expires: isoOf(apiKey.expireTime) ?? NEVER, used: isoOf(apiKey.useTime) ?? NEVER },
    ...{ created: isoOf(apiKey.createTime), rotatedTo },
  };
}

/** A key that signs, or whose signatures are taken. */
export function toSigningKeyRow(key: SigningKey): Row {
  const { keyId, algorithm, publicJwk } = key;
  return {
    ...{ key: keyId, algorithm, created: isoOf(key.createTime) ?? 'configuration' },
    ...{ expires: isoOf(key.expireTime) ?? NEVER },
    ...(publicJwk === '' ? {} : { publicJwk: JSON.parse(publicJwk) as object }),
  };
}

/** What a revocation takes down. */
export function toImpactRow({ tokens, sessions, apiKeys, clients }: RevocationImpact): Row {
  return {
    ...{ tokens: Number(tokens), sessions: Number(sessions), apiKeys: Number(apiKeys) },
    clients,
  };
}

/** The same in a sentence's words. */
export function describeImpact({ tokens, sessions, apiKeys, clients }: RevocationImpact): string {
  const counts = [
    countOf(tokens, 'delegated token'),
    countOf(sessions, 'session'),
    countOf(apiKeys, 'API key'),
  ].join(', ');
  return clients.length === 0 ? counts : `${counts}; clients: ${clients.join(', ')}`;
}

function countOf(count: bigint, noun: string): string {
  return `${String(count)} ${noun}${count === 1n ? '' : 's'}`;
}
