import { endApiKey, type ApiKeys } from './api-keys.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { isAboutCredential } from '../../errors/reason.ts';
import type { Authenticator } from './credentials.ts';
import type { Principal } from './principal.ts';
import type { Revocations } from './revocations.ts';
import type { Sessions } from './sessions.ts';
import type { TokenControl } from './token-control.ts';

/** What a shown credential is (RFC 7662), and ending it (RFC 7009). */
export interface Introspection {
  /**
   * Whom it would make; undefined for one that would be refused. ENGINE_UNAVAILABLE when that is not known here, so
   * that nobody takes a good one for ended (RFC 7009 section 2.2.1).
   */
  look(text: string): Promise<Principal | undefined>;
  /**
   * Ends an access token with all below it, an API key, or the session of a refresh token; one that would be refused
   * has ended. Fails as `look` does.
   */
  end(text: string): Promise<void>;
}

/** Creates the introspection of a server. */
export function createIntrospection(parts: {
  readonly authenticator: Authenticator;
  readonly sessions: Sessions;
  readonly control: TokenControl;
  readonly apiKeys: ApiKeys;
  readonly revocations: Revocations;
}): Introspection {
  const { authenticator, sessions, control, apiKeys, revocations } = parts;
  const look = async (text: string): Promise<Principal | undefined> => {
    try {
      const proof = { authorization: undefined, apiKey: text };
      return await authenticator.identify(proof);
    } catch (error) {
      if (error instanceof DomainError && isAboutCredential(error.reason)) return undefined;
      throw error;
    }
  };
  return {
    look,
    async end(text) {
      if (text.startsWith('mr_')) {
        await sessions.endShown(text);
        return;
      }
      const principal = await look(text);
      if (principal === undefined) return;
      const { tokenId: id } = principal;
      const { kind, chain } = principal.credential ?? {};
      if (kind === 'apiKey') {
        await endApiKey({ apiKeys, revocations }, id);
      } else if (kind === 'session' && chain !== undefined) {
        await revocations.revoke({ kind: 'token', id, expiresAtMs: principal.expiresAtMs });
      } else {
        await control.revokeToken(principal, id);
      }
    },
  };
}
