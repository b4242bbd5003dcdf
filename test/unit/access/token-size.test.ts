import { describe, expect, it } from 'vitest';

import { boundTokens, TOKEN_CHARS_MAX } from '../../../src/domain/access/token-size.ts';
import type { TokenClaims, Tokens } from '../../../src/domain/access/tokens.ts';

/** Tokens of a length, which say nothing. */
function tokensOf(length: number): Tokens {
  const signed = { token: 'x'.repeat(length), verified: {} } as Awaited<
    ReturnType<Tokens['issue']>
  >;
  return {
    issue: () => Promise.resolve(signed),
    verify: () => Promise.resolve(signed.verified),
  };
}

const NEW: TokenClaims = {
  ...{ kind: 'delegated', subject: 'x', scopes: [], user: 'u', userId: 'i', sessionId: '' },
  ...{ ancestors: [], expiresAtMs: 0, grantEndsAtMs: 0, impersonator: '', callsPerMinute: 0 },
};
const RENEWED: TokenClaims = { ...NEW, renews: { tokenId: 'x', issuedAtMs: 0 } };

describe('a token', () => {
  it.each([
    ['a new one', NEW, TOKEN_CHARS_MAX - 1024],
    ['a renewed one', RENEWED, TOKEN_CHARS_MAX],
  ])('is made up to the bound, and not beyond: %s', async (_, claims, max) => {
    expect((await boundTokens(tokensOf(max)).issue(claims)).token).toHaveLength(max);
    const beyond = boundTokens(tokensOf(max + 1)).issue(claims);
    await expect(beyond).rejects.toMatchObject({
      reason: 'ARGUMENT_INVALID',
      message: `the token has ${String(max + 1)} characters; the limit is ${String(max)}: ask for fewer or shorter scopes`,
    });
  });

  it('is looked at up to the bound, and not beyond', async () => {
    const tokens = boundTokens(tokensOf(0));
    await expect(tokens.verify('x'.repeat(TOKEN_CHARS_MAX))).resolves.toEqual({});
    await expect(tokens.verify('x'.repeat(TOKEN_CHARS_MAX + 1))).rejects.toMatchObject({
      ...{ reason: 'CREDENTIAL_INVALID', metadata: { limit: '16384' } },
    });
  });
});
