import type { ApiKeyService } from '../../../gen/molten/v1/api_keys_pb.ts';
import type { Access } from '../../domain/access/access.ts';
import type { MadeApiKey } from '../../domain/access/api-keys.ts';
import type { ServiceImplementation } from '../call.ts';
import { toApiKey } from '../mapping/access.ts';
import { firstPage } from '../mapping/page.ts';
import { fromDuration } from '../mapping/time.ts';

/** The ApiKeyService over the domain. */
export function createApiKeyService({
  apiKeyControl: keys,
}: Access): ServiceImplementation<typeof ApiKeyService> {
  const show = ({ apiKey, text }: MadeApiKey) => ({ apiKey: toApiKey(apiKey), text });
  return {
    async createApiKey({ description, scopes, ttl, environment, owner }, { principal }) {
      const request = { owner, description, scopes, ttlMs: fromDuration(ttl) };
      const kind = environment === 'test' ? 'test' : 'live';
      return show(await keys.create(principal, { ...request, environment: kind }));
    },
    async listApiKeys({ owner, pageSize, pageToken }, { principal }) {
      const rest = keys.list(principal, owner).filter(({ id }) => id > pageToken);
      const { items, nextPageToken } = firstPage(rest, pageSize, ({ id }) => id);
      return { apiKeys: items.map(toApiKey), nextPageToken };
    },
    async getApiKey({ apiKey }, { principal }) {
      return { apiKey: toApiKey(keys.get(principal, apiKey)) };
    },
    async rotateApiKey({ apiKey, overlap }, { principal }) {
      return show(await keys.rotate(principal, apiKey, fromDuration(overlap)));
    },
    async revokeApiKey({ apiKey }, { principal }) {
      await keys.revoke(principal, apiKey);
      return { apiKey };
    },
  };
}
