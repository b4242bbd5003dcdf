/** `/v1/auth/api-key` and `/api-keys`. The id of a key stands where MDDB has the hash of one. */
import { ApiKeyService } from '../../../../gen/molten/v1/api_keys_pb.ts';
import { AuthService } from '../../../../gen/molten/v1/auth_pb.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Caller } from '../../caller.ts';
import type { FastifyRequest } from '../../http/door.ts';
import { toDuration } from '../../mapping/time.ts';
import { payloadOf, RouteRefusal, textOf, type CompatRoute, type Payload } from '../routes.ts';
import { secondsOf } from './users.ts';

const MS_PER_SECOND = 1000;
const PAGE_SIZE = 1000;
/** No key ends later: the last second of the year 9999. */
const ENDS_MAX_S = 253_402_300_799;

/** The routes of API keys. */
export function apiKeyRoutes(clock: Clock): readonly CompatRoute[] {
  const isFor = 'callers';
  return [
    {
      ...{ methods: ['POST'], url: '/v1/auth/api-key', isFor },
      run: (request, caller) => createKey(request, caller, clock),
    },
    { methods: ['GET'], url: '/v1/auth/api-keys', isFor, run: (_, caller) => listKeys(caller) },
    { methods: ['DELETE'], url: '/v1/auth/api-keys/:keyHash', isFor, run: revokeKey },
  ];
}

async function createKey(request: FastifyRequest, caller: Caller, clock: Clock): Promise<unknown> {
  const payload = payloadOf(request);
  const description = textOf(payload, 'description');
  const ttlMs = lifeOf(payload, clock);
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  // What its owner may do now; of what is taken from the owner later, the key loses as much.
  const scopes = principal?.scopes ?? [];
  if (scopes.length === 0) throw new RouteRefusal('you have no permission that a key could carry');
  const { apiKey, text: key } = await caller.call(ApiKeyService.method.createApiKey, {
    ...{ description, scopes },
    ...(ttlMs === undefined ? {} : { ttl: toDuration(ttlMs) }),
  });
  const expiresAt = secondsOf(apiKey?.expireTime);
  return { key, description, expiresAt, createdAt: secondsOf(apiKey?.createTime) };
}

/** How long a key shall live; undefined: for ever. */
function lifeOf({ expiresAt = 0 }: Payload, clock: Clock): number | undefined {
  const isTime =
    typeof expiresAt === 'number' &&
    Number.isInteger(expiresAt) &&
    expiresAt >= 0 &&
    expiresAt <= ENDS_MAX_S;
  if (!isTime) throw new RouteRefusal('invalid request: expiresAt must be Unix seconds, or 0');
  if (expiresAt === 0) return undefined;
  const ttlMs = expiresAt * MS_PER_SECOND - clock.now();
  if (ttlMs < MS_PER_SECOND) throw new RouteRefusal('expiresAt is in the past');
  return ttlMs;
}

async function listKeys(caller: Caller): Promise<unknown> {
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  const keys: unknown[] = [];
  let pageToken = '';
  do {
    const page = { owner: principal?.user ?? '', pageSize: PAGE_SIZE, pageToken };
    const found = await caller.call(ApiKeyService.method.listApiKeys, page);
    for (const { apiKeyId: keyHash, description, createTime, expireTime } of found.apiKeys) {
      const times = { createdAt: secondsOf(createTime), expiresAt: secondsOf(expireTime) };
      keys.push({ keyHash, description, ...times });
    }
    pageToken = found.nextPageToken;
  } while (pageToken !== '');
  return { keys };
}

async function revokeKey(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { keyHash: apiKey } = request.params as { readonly keyHash: string };
  await caller.call(ApiKeyService.method.revokeApiKey, { apiKey });
  return { status: 'deleted' };
}
