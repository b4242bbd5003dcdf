import { createHmac, generateKeyPairSync, sign } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { createTokens, type Tokens } from '../../../src/domain/access/tokens.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';

const SECRET = 'a secret of at least thirty-two bytes, for tests';
const HOUR_MS = 3_600_000;

function open(): { readonly clock: ManualClock; readonly tokens: Tokens } {
  const clock = createManualClock();
  return { clock, tokens: createTokens({ secret: SECRET, clock }) };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token signed with the real secret, with whatever header and claims. */
function forge(header: object, claims: object, secret: string = SECRET): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

const HEADER = { alg: 'HS256', typ: 'JWT' };
const nowS = Date.UTC(2026, 0, 31) / 1000;
const CLAIMS = { sub: 'u', jti: 'j', scopes: ['read:a:*'], iat: nowS, exp: nowS + 60 };

describe('a token', () => {
  it('says what it was issued with, until it ends', async () => {
    const { clock, tokens } = open();
    const expiresAtMs = clock.now() + HOUR_MS;
    const { token } = await tokens.issue({
      ...{ subject: 'u', scopes: ['read:a:*'], expiresAtMs, grantEndsAtMs: expiresAtMs + HOUR_MS },
    });
    const { principal, grantEndsAtMs } = await tokens.verify(token);
    expect(principal).toMatchObject({ kind: 'token', subject: 'u', expiresAtMs });
    expect(principal.scopes.texts).toEqual(['read:a:*']);
    expect(grantEndsAtMs).toBe(expiresAtMs + HOUR_MS);
    clock.advance(HOUR_MS - 1);
    await tokens.verify(token);
    clock.advance(1);
    await expect(tokens.verify(token)).rejects.toMatchObject({ reason: 'CREDENTIAL_EXPIRED' });
  });

  it('is known by its secret', async () => {
    const { tokens } = open();
    expect((await tokens.verify(forge(HEADER, CLAIMS))).principal.subject).toBe('u');
    const foreign = forge(HEADER, CLAIMS, 'another secret of thirty-two bytes');
    await expect(tokens.verify(foreign)).rejects.toMatchObject({ reason: 'CREDENTIAL_INVALID' });
  });

  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const unsigned = `${encode({ ...HEADER, alg: 'none' })}.${encode(CLAIMS)}.`;
  const rsa = `${encode({ ...HEADER, alg: 'RS256' })}.${encode(CLAIMS)}`;
  const valid = forge(HEADER, CLAIMS);
  it.each([
    ['no signature', unsigned],
    [
      'an algorithm of key pairs',
      `${rsa}.${sign('sha256', Buffer.from(rsa), privateKey).toString('base64url')}`,
    ],
    ['a stronger algorithm', forge({ ...HEADER, alg: 'HS512' }, CLAIMS)],
    ['another type', forge({ ...HEADER, typ: 'at+jwt' }, CLAIMS)],
    ['an unknown critical header', forge({ ...HEADER, crit: ['x'], x: 1 }, CLAIMS)],
    ['changed claims', valid.replace(/\.[^.]+\./, `.${encode({ ...CLAIMS, scopes: ['*:*:*'] })}.`)],
    ['a changed signature', `${valid.slice(0, -4)}AAAA`],
    ['no end', forge(HEADER, { ...CLAIMS, exp: undefined })],
    ['no subject', forge(HEADER, { ...CLAIMS, sub: '' })],
    ['no id', forge(HEADER, { ...CLAIMS, jti: undefined })],
    ['no scopes', forge(HEADER, { ...CLAIMS, scopes: undefined })],
    ['scopes of another type', forge(HEADER, { ...CLAIMS, scopes: [1] })],
    ['rubbish', 'rubbish'],
    ['a huge text', 'x'.repeat(1_000_000)],
  ])('with %s is refused', async (_, token) => {
    const { tokens } = open();
    await expect(tokens.verify(token)).rejects.toMatchObject({ reason: 'CREDENTIAL_INVALID' });
  });
});
