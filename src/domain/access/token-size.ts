import { DomainError } from '../../errors/domain-error.ts';
import type { Tokens } from './tokens.ts';

/** No token is longer: it must fit into the header of a request, of 32 KiB in all, beside the rest. */
export const TOKEN_CHARS_MAX: number = 16 * 1024;
/** A renewed token, and one that another key signs, is a little longer. */
const RENEWAL_CHARS = 1024;

/** The same tokens, none of which is longer than can be shown again. */
export function boundTokens(tokens: Tokens): Tokens {
  return {
    async issue(claims) {
      const signed = await tokens.issue(claims);
      const max = TOKEN_CHARS_MAX - (claims.renews === undefined ? RENEWAL_CHARS : 0);
      const { length } = signed.token;
      if (length > max) throw tooLong('ARGUMENT_INVALID', { length, max });
      return signed;
    },
    async verify(token) {
      const { length } = token;
      const max = TOKEN_CHARS_MAX;
      if (length > max) throw tooLong('CREDENTIAL_INVALID', { length, max });
      return await tokens.verify(token);
    },
  };
}

function tooLong(
  reason: 'ARGUMENT_INVALID' | 'CREDENTIAL_INVALID',
  { length, max }: { readonly length: number; readonly max: number },
): DomainError {
  const message = `the token has ${String(length)} characters; the limit is ${String(max)}: ask for fewer or shorter scopes`;
  return new DomainError(reason, message, { metadata: { limit: String(max) } });
}
