import { create } from '@bufbuild/protobuf';

import { ApiKeySchema, type ApiKey as ApiKeyMessage } from '../../../gen/molten/v1/api_keys_pb.ts';
import {
  CredentialKind,
  PrincipalSchema,
  SessionSchema,
  type Principal as PrincipalMessage,
  type Session as SessionMessage,
} from '../../../gen/molten/v1/auth_pb.ts';
import {
  RevocationImpactSchema,
  SigningKeySchema,
  TokenSchema,
  type RevocationImpact,
  type SigningKey as SigningKeyMessage,
  type Token,
} from '../../../gen/molten/v1/tokens_pb.ts';
import {
  RoleSchema,
  UserSchema,
  UserState as UserStateMessage,
  type Role as RoleMessage,
  type User as UserMessage,
} from '../../../gen/molten/v1/users_pb.ts';
import type { UserState } from '../../domain/access/accounts.ts';
import type { ApiKey } from '../../domain/access/api-keys.ts';
import type { GrantRecord } from '../../domain/access/grants.ts';
import type { Credential, Principal } from '../../domain/access/principal.ts';
import type { Role } from '../../domain/access/roles.ts';
import type { Session } from '../../domain/access/sessions.ts';
import type { SigningKey } from '../../domain/access/signing-keys.ts';
import type { RevocationPreview } from '../../domain/access/token-control.ts';
import type { User } from '../../domain/access/users.ts';
import { toTimestamp } from './time.ts';

const KINDS: Readonly<Record<Credential['kind'], CredentialKind>> = {
  session: CredentialKind.SESSION,
  delegated: CredentialKind.DELEGATED,
  apiKey: CredentialKind.API_KEY,
};

/** Who calls. */
export function toPrincipal(principal: Principal): PrincipalMessage {
  const { subject, scopes, tokenId, expiresAtMs, credential, mustEnrol = false } = principal;
  return create(PrincipalSchema, {
    ...{ subject, tokenId, scopes: [...scopes.texts], secondFactorRequired: mustEnrol },
    ...(Number.isFinite(expiresAtMs) ? { expireTime: toTimestamp(expiresAtMs) } : {}),
    ...(credential === undefined
      ? {}
      : {
          ...{ credentialKind: KINDS[credential.kind], user: credential.user },
          ...{ sessionId: credential.chain.sessionId, impersonator: credential.impersonator },
          ...(credential.kind === 'delegated'
            ? { grantExpireTime: toTimestamp(credential.grantEndsAtMs) }
            : {}),
        }),
  });
}

/** A session; `currentId` is the caller's own. */
export function toSession(session: Session, currentId: string): SessionMessage {
  const { id, createdAtMs, usedAtMs, idleEndsAtMs, address, client, methods } = session;
  return create(SessionSchema, {
    ...{ sessionId: id, address, client, methods: [...methods], current: id === currentId },
    ...{ createTime: toTimestamp(createdAtMs), useTime: toTimestamp(usedAtMs) },
    expireTime: toTimestamp(idleEndsAtMs),
  });
}

const STATES: Readonly<Record<UserState, UserStateMessage>> = {
  active: UserStateMessage.ACTIVE,
  locked: UserStateMessage.LOCKED,
  disabled: UserStateMessage.DISABLED,
};

const STATE_NAMES: readonly UserState[] = ['active', 'locked', 'disabled'];

/** A user. */
export function toUser(user: User): UserMessage {
  const { name, id, roles, scopes, state, displayName, email, createdAtMs, lastLoginAtMs } = user;
  return create(UserSchema, {
    ...{ name, userId: id, roles: [...roles], scopes: [...scopes], state: STATES[state] },
    ...{ displayName, email, createTime: toTimestamp(createdAtMs) },
    ...(lastLoginAtMs === undefined ? {} : { loginTime: toTimestamp(lastLoginAtMs) }),
    ...{ hasPassword: user.hasPassword, hasSecondFactor: user.hasSecondFactor },
    secondFactorRequired: user.mustEnrol,
    ...(user.waitsUntilMs === undefined ? {} : { waitTime: toTimestamp(user.waitsUntilMs) }),
    identities: user.identities.map((one) => ({ ...one })),
  });
}

/** The state of a user; undefined when none is given. */
export function fromUserState(state: UserStateMessage): UserState | undefined {
  return STATE_NAMES.find((name) => STATES[name] === state);
}

/** A role. */
export function toRole({ name, description, scopes, ...rest }: Role): RoleMessage {
  const { needsSecondFactor: secondFactorRequired, isBuiltIn: builtIn = false } = rest;
  const parts = { name, description, scopes: [...scopes], secondFactorRequired, builtIn };
  return create(RoleSchema, parts);
}

/** A delegation. */
export function toToken(grant: GrantRecord, isRevoked: boolean): Token {
  const { id, clientId, user, parentId, depth, scopes, callsPerMinute } = grant;
  return create(TokenSchema, {
    ...{ tokenId: id, clientId, user, parentId, depth, scopes: [...scopes], callsPerMinute },
    ...{ createTime: toTimestamp(grant.createdAtMs), expireTime: toTimestamp(grant.expiresAtMs) },
    ...{ grantExpireTime: toTimestamp(grant.grantEndsAtMs), revoked: isRevoked },
  });
}

/** What a revocation takes down. */
export function toImpact(preview: RevocationPreview): RevocationImpact {
  const { tokens, sessions, apiKeys, clients } = preview;
  return create(RevocationImpactSchema, {
    ...{ tokens: BigInt(tokens), sessions: BigInt(sessions), apiKeys: BigInt(apiKeys) },
    clients: [...clients],
  });
}

/** A signing key. */
export function toSigningKey(key: SigningKey): SigningKeyMessage {
  const { id, algorithm, createdAtMs, endsAtMs, publicJwk } = key;
  return create(SigningKeySchema, {
    ...{
      keyId: id,
      algorithm,
      publicJwk: publicJwk === undefined ? '' : JSON.stringify(publicJwk),
    },
    ...(createdAtMs === 0 ? {} : { createTime: toTimestamp(createdAtMs) }),
    ...(endsAtMs === undefined ? {} : { expireTime: toTimestamp(endsAtMs) }),
  });
}

/** An API key. */
export function toApiKey(apiKey: ApiKey): ApiKeyMessage {
  const { id, environment, owner, description, scopes, createdAtMs, rotatedTo = '' } = apiKey;
  const { expiresAtMs, lastUsedAtMs } = apiKey;
  return create(ApiKeySchema, {
    ...{ apiKeyId: id, environment, owner, description, scopes: [...scopes], rotatedTo },
    createTime: toTimestamp(createdAtMs),
    ...(expiresAtMs === undefined ? {} : { expireTime: toTimestamp(expiresAtMs) }),
    ...(lastUsedAtMs === undefined ? {} : { useTime: toTimestamp(lastUsedAtMs) }),
  });
}
