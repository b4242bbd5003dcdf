import type { Timestamp } from '@bufbuild/protobuf/wkt';

import { RevocationKind, type TokenService } from '../../../gen/molten/v1/tokens_pb.ts';
import type { Access } from '../../domain/access/access.ts';
import type { PlacedGrant } from '../../domain/access/grants.ts';
import type { RevocationTarget } from '../../domain/access/token-control.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import type { ServiceImplementation } from '../call.ts';
import { toImpact, toSigningKey, toToken } from '../mapping/access.ts';
import { pageLimit } from '../mapping/page.ts';
import { fromDuration, fromTimestamp, toTimestamp } from '../mapping/time.ts';

type Service = ServiceImplementation<typeof TokenService>;
type KeyCall = 'listSigningKeys' | 'rotateSigningKey';
type ShownCall = 'introspectToken' | 'revokeShownToken';

const GRACE_MS = 30 * 24 * 3_600_000;

/** The TokenService over the domain. */
export function createTokenService(access: Access): Service {
  return { ...createTreeCalls(access), ...createShownCalls(access), ...createKeyCalls(access) };
}

function createTreeCalls({ control }: Access): Omit<Service, KeyCall | ShownCall> {
  const show = (placed: PlacedGrant): ReturnType<typeof toToken> =>
    toToken(placed.grant, control.isRevoked(placed));
  return {
    async listTokens({ parentId, pageSize, pageToken }, { principal }) {
      const limit = pageLimit(pageSize);
      const page = await control.list(principal, { parentId, after: pageToken, limit });
      return { tokens: page.grants.map(show), nextPageToken: page.next ?? '' };
    },
    async getToken({ tokenId }, { principal }) {
      return { token: show(await control.get(principal, tokenId)) };
    },
    async previewRevocation(request) {
      return { impact: toImpact(await control.preview(fromTarget(request))) };
    },
    async revokeTokens(request) {
      return { impact: toImpact(await control.revoke(fromTarget(request))) };
    },
  };
}

function createShownCalls({ introspection }: Access): Pick<Service, ShownCall> {
  return {
    async introspectToken({ token }) {
      const principal = await introspection.look(token);
      if (principal === undefined) return { active: false };
      const { subject, scopes, tokenId, expiresAtMs, credential } = principal;
      const { user = '', kind, chain } = credential ?? {};
      const issuedAtMs = chain?.links[0]?.issuedAtMs ?? 0;
      return {
        ...{ active: true, subject, user, scopes: [...scopes.texts], tokenId },
        ...{ clientId: kind === 'delegated' ? subject : '', createTime: toTimestamp(issuedAtMs) },
        ...(Number.isFinite(expiresAtMs) ? { expireTime: toTimestamp(expiresAtMs) } : {}),
        tokenType: kind === 'apiKey' ? 'api_key' : 'access_token',
      };
    },
    async revokeShownToken({ token }) {
      await introspection.end(token);
      return {};
    },
  };
}

function createKeyCalls({ signingKeys }: Access): Pick<Service, KeyCall> {
  return {
    async listSigningKeys() {
      return { keys: signingKeys.list().map(toSigningKey) };
    },
    async rotateSigningKey({ grace }) {
      return { key: toSigningKey(await signingKeys.rotate(fromDuration(grace) ?? GRACE_MS)) };
    },
  };
}

const TARGETS: Readonly<Partial<Record<RevocationKind, RevocationTarget['kind']>>> = {
  [RevocationKind.TOKEN]: 'grant',
  [RevocationKind.SESSION]: 'session',
  [RevocationKind.USER_SESSIONS]: 'sessions',
  [RevocationKind.USER]: 'user',
  [RevocationKind.CLIENT]: 'client',
  [RevocationKind.SIGNING_KEY]: 'signingKey',
  [RevocationKind.ALL]: 'all',
};

function fromTarget({
  kind,
  id,
  beforeTime,
}: {
  readonly kind: RevocationKind;
  readonly id: string;
  readonly beforeTime?: Timestamp | undefined;
}): RevocationTarget {
  const found = TARGETS[kind];
  invariant(found !== undefined, 'the kind was validated');
  const beforeMs = fromTimestamp(beforeTime);
  if ((id === '') === (found === 'all')) return { kind: found, id, beforeMs };
  const problem = found === 'all' ? 'must be empty for ALL' : 'is empty; name what to revoke';
  throw new DomainError('ARGUMENT_INVALID', `id ${problem}`, {
    violations: [{ field: 'id', description: problem }],
  });
}
