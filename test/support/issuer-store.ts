import type { Adapter, AdapterPayload } from 'oidc-provider';

/** Keeps what an issuer must remember, by kind and id, as long as the issuer lives. */
export function createIssuerStore(): (kind: string) => Adapter {
  const payloads = new Map<string, AdapterPayload>();
  const findBy = (
    kind: string,
    name: 'uid' | 'userCode',
    value: string,
  ): AdapterPayload | undefined =>
    [...payloads].find(([id, one]) => id.startsWith(`${kind}:`) && one[name] === value)?.[1];
  return (kind) => ({
    async upsert(id, payload) {
      payloads.set(`${kind}:${id}`, payload);
    },
    find: async (id) => payloads.get(`${kind}:${id}`),
    findByUid: async (uid) => findBy(kind, 'uid', uid),
    findByUserCode: async (userCode) => findBy(kind, 'userCode', userCode),
    async consume(id) {
      const payload = payloads.get(`${kind}:${id}`);
      if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000);
    },
    async destroy(id) {
      payloads.delete(`${kind}:${id}`);
    },
    async revokeByGrantId(grantId) {
      for (const [id, payload] of payloads) {
        if (payload.grantId === grantId) payloads.delete(id);
      }
    },
  });
}
