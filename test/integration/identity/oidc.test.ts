/** Signing in at a real issuer, in a browser and on another device. */
import { describe, expect, it } from 'vitest';

import { createOidcProvider } from '../../../src/identity/oidc.ts';
import type { OidcProvider, OidcProviderOptions } from '../../../src/identity/oidc.ts';
import { mapRoles } from '../../../src/identity/role-mapping.ts';
import { openBrowser } from '../../support/browser.ts';
import {
  ADA,
  CLIENT,
  close,
  listen,
  PUBLIC_CLIENT,
  REDIRECT_URI,
  startIssuer,
} from '../../support/issuer.ts';
import { createManualClock } from '../../support/manual-clock.ts';

const REFUSED = { reason: 'CREDENTIAL_INVALID', metadata: { provider: 'company' } };
const UNAVAILABLE = { reason: 'PROVIDER_UNAVAILABLE', metadata: { provider: 'company' } };

function providerAt(issuer: string, more: Partial<OidcProviderOptions> = {}): OidcProvider {
  const clock = createManualClock();
  const options = { name: 'company', issuer, ...CLIENT, allowInsecure: true, clock };
  return createOidcProvider({ ...options, ...more });
}

async function visit(provider: OidcProvider): Promise<Parameters<OidcProvider['finish']>[0]> {
  const { url, flow } = await provider.begin({ redirectUri: REDIRECT_URI });
  return { callbackUrl: await openBrowser().follow(url, REDIRECT_URI), flow };
}

describe('signing in at an issuer', () => {
  it('says who came back, and which roles the groups give', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    const identity = await provider.finish(await visit(provider));
    expect(identity).toEqual({
      provider: 'company',
      issuer: issuer.url,
      subject: 'ada',
      username: 'ada.lovelace',
      displayName: 'Ada Lovelace',
      email: 'ada@example.org',
      isEmailVerified: true,
      groups: ['operators', 'engines'],
    });
    const groups = { operators: ['operator', 'reader'], Engines: ['builder'], others: ['other'] };
    const mapping = { groups, defaultRoles: ['reader'], provision: false };
    expect(mapRoles(identity, mapping, 'oidc')).toEqual(['reader', 'operator']);
  });

  it('proves itself by PKCE, and shows the browser no verifier', async () => {
    await using issuer = await startIssuer();
    const { url, flow } = await providerAt(issuer.url).begin({ redirectUri: REDIRECT_URI });
    const query = Object.fromEntries(new URL(url).searchParams);
    expect(query).toMatchObject({
      ...{ code_challenge_method: 'S256', scope: 'openid profile email', response_type: 'code' },
      ...{ state: flow.state, nonce: flow.nonce, redirect_uri: REDIRECT_URI },
    });
    expect(url).not.toContain(flow.codeVerifier);
    expect(JSON.parse(JSON.stringify(flow))).toEqual(flow);
  });

  it.each(['PS256', 'ES256', 'EdDSA'] as const)(
    'takes tokens signed with %s',
    async (algorithm) => {
      await using issuer = await startIssuer({ algorithm });
      const provider = providerAt(issuer.url);
      expect(await provider.finish(await visit(provider))).toMatchObject({ subject: 'ada' });
    },
  );

  it('takes no token that the secret of the client signs', async () => {
    await using issuer = await startIssuer({ algorithm: 'HS256' });
    const provider = providerAt(issuer.url);
    await expect(provider.finish(await visit(provider))).rejects.toMatchObject(REFUSED);
  });

  it('works for a client without a secret', async () => {
    await using issuer = await startIssuer();
    const clock = createManualClock();
    const provider = createOidcProvider({
      ...{ name: 'company', issuer: issuer.url, clientId: PUBLIC_CLIENT },
      ...{ allowInsecure: true, clock },
    });
    expect(await provider.finish(await visit(provider))).toMatchObject({ subject: 'ada' });
  });

  it('reads at the userinfo endpoint what the token leaves open, where it is to', async () => {
    await using issuer = await startIssuer({ keepsClaims: true });
    const reading = providerAt(issuer.url, { readsUserInfo: true });
    const identity = await reading.finish(await visit(reading));
    expect(identity).toMatchObject({ username: 'ada.lovelace', groups: ADA['groups'] });
    const content = providerAt(issuer.url);
    const bare = await content.finish(await visit(content));
    expect(bare).toMatchObject({ username: 'ada', email: '', groups: [] });
  });

  it('finds groups by a path, and falls back to the address for a name', async () => {
    const claims = { ...ADA, preferred_username: '', realm_access: { roles: ['a', 7, 'b', 'a'] } };
    await using issuer = await startIssuer({ claims });
    const provider = providerAt(issuer.url, { groupsClaim: 'realm_access.roles' });
    const identity = await provider.finish(await visit(provider));
    expect(identity).toMatchObject({ username: 'ada@example.org', groups: ['a', 'b'] });
  });

  it('relies on no address that nobody has verified', async () => {
    const claims = { ...ADA, preferred_username: undefined, email_verified: false };
    await using issuer = await startIssuer({ claims });
    const provider = providerAt(issuer.url);
    const identity = await provider.finish(await visit(provider));
    expect(identity).toMatchObject({ username: 'ada', email: '' });
  });
});

describe('whom an issuer or its protocol refuses', () => {
  it('is an answer to another question, which does not use this one up', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    const [mine, theirs] = [await visit(provider), await visit(provider)];
    const mixed = { callbackUrl: theirs.callbackUrl, flow: mine.flow };
    await expect(provider.finish(mixed)).rejects.toMatchObject(REFUSED);
    expect(await provider.finish(mine)).toMatchObject({ subject: 'ada' });
  });

  it('is an answer that was used, here or at another server', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    const answer = await visit(provider);
    const both = await Promise.allSettled([provider.finish(answer), provider.finish(answer)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const asked = issuer.requests.length;
    await expect(provider.finish(answer)).rejects.toMatchObject(REFUSED);
    expect(issuer.requests).toHaveLength(asked);
    await expect(providerAt(issuer.url).finish(answer)).rejects.toMatchObject({
      ...REFUSED,
      cause: { message: expect.stringContaining('invalid_grant') },
    });
  });

  it('is an answer after ten minutes', async () => {
    await using issuer = await startIssuer();
    const clock = createManualClock();
    const provider = providerAt(issuer.url, { clock });
    const [first, second] = [await visit(provider), await visit(provider)];
    clock.advance(599_999);
    expect(await provider.finish(first)).toMatchObject({ subject: 'ada' });
    clock.advance(1);
    await expect(provider.finish(second)).rejects.toMatchObject(REFUSED);
  });

  it('is a flow of another provider, with another verifier, or with nothing to compare', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    for (const change of [
      { provider: 'other' },
      { codeVerifier: 'x'.repeat(43) },
      { state: '' },
      { nonce: '' },
      { nonce: 'another' },
      { redirectUri: 'http://127.0.0.1:9/elsewhere' },
    ]) {
      const { callbackUrl, flow } = await visit(provider);
      const changed = provider.finish({ callbackUrl, flow: { ...flow, ...change } });
      await expect(changed).rejects.toMatchObject(REFUSED);
    }
  });

  it('is an answer that is none, or twice one', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    const { callbackUrl, flow } = await visit(provider);
    const { search } = new URL(callbackUrl);
    for (const query of ['', '?code=x', '?state=x', `${search}&state=x`, `${search}&code=x`]) {
      const finishing = provider.finish({ callbackUrl: `${REDIRECT_URI}${query}`, flow });
      await expect(finishing).rejects.toMatchObject(REFUSED);
    }
    await expect(provider.finish({ callbackUrl: '//[', flow })).rejects.toMatchObject(REFUSED);
  });

  it('is somebody who declines', async () => {
    await using issuer = await startIssuer();
    issuer.decline();
    const provider = providerAt(issuer.url);
    await expect(provider.finish(await visit(provider))).rejects.toMatchObject({
      ...REFUSED,
      cause: { message: expect.stringContaining('access_denied') },
    });
  });
});

describe('an issuer that cannot be asked', () => {
  it('is asked again by the next sign-in', async () => {
    const { server, url } = await listen();
    await close(server);
    const provider = providerAt(url);
    await expect(provider.begin({ redirectUri: REDIRECT_URI })).rejects.toMatchObject(UNAVAILABLE);
    await using issuer = await startIssuer({ port: Number(new URL(url).port) });
    expect(await provider.finish(await visit(provider))).toMatchObject({ subject: 'ada' });
    expect(issuer.requests.filter((path) => path.startsWith('/.well-known/'))).toHaveLength(1);
  });

  it('goes away in the middle of a sign-in', async () => {
    const issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    const answer = await visit(provider);
    await issuer[Symbol.asyncDispose]();
    await expect(provider.finish(answer)).rejects.toMatchObject(UNAVAILABLE);
  });

  it('does not know the secret of this server', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url, { clientSecret: 'an old secret of this client' });
    const failure = await provider.finish(await visit(provider)).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      ...UNAVAILABLE,
      cause: { message: expect.stringContaining('WWW_AUTHENTICATE') },
    });
    expect(String((failure as Error).cause) + JSON.stringify(failure)).not.toContain('an old');
  });
});

describe('signing in on another device', () => {
  it('waits for the user, at the pace of the issuer', async () => {
    await using issuer = await startIssuer();
    const clock = createManualClock();
    const provider = providerAt(issuer.url, { clock });
    const flow = await provider.beginDevice();
    expect(flow).toMatchObject({ provider: 'company', intervalMs: 5000 });
    expect(JSON.parse(JSON.stringify(flow))).toEqual(flow);
    const polls = (): number => issuer.requests.filter((path) => path === '/token').length;
    expect(await provider.pollDevice(flow)).toBeUndefined();
    expect(polls()).toBe(1);
    await openBrowser().submit(flow.verificationUriComplete);
    expect(await provider.pollDevice(flow)).toBeUndefined();
    expect(polls()).toBe(1);
    clock.advance(flow.intervalMs);
    expect(await provider.pollDevice(flow)).toMatchObject({ username: 'ada.lovelace' });
    clock.advance(flow.intervalMs);
    await expect(provider.pollDevice(flow)).rejects.toMatchObject(REFUSED);
  });

  it('ends when the user declines, and when the time is over', async () => {
    await using issuer = await startIssuer();
    const clock = createManualClock();
    const provider = providerAt(issuer.url, { clock });
    const [declined, late] = [await provider.beginDevice(), await provider.beginDevice()];
    issuer.decline();
    await openBrowser().submit(declined.verificationUriComplete);
    await expect(provider.pollDevice(declined)).rejects.toMatchObject(REFUSED);
    clock.advance(60_000);
    await expect(provider.pollDevice(late)).rejects.toMatchObject(REFUSED);
  });

  it('is not there when the issuer does not offer it', async () => {
    await using issuer = await startIssuer({ device: false });
    await expect(providerAt(issuer.url).beginDevice()).rejects.toMatchObject({
      reason: 'FEATURE_DISABLED',
    });
  });
});

describe('the options of an issuer', () => {
  it.each([
    [{ issuer: 'http://issuer.example.org' }, 'https://'],
    [{ issuer: 'http://127.0.0.1:1', allowInsecure: false }, 'https://'],
    [{ issuer: 'nonsense' }, 'URL'],
    [{ issuer: 'https://issuer.example.org/?x=y' }, 'URL'],
    [{ clientId: '' }, 'client id'],
    [{ clientSecret: '' }, 'secret'],
  ])('refuse %j', (more, words) => {
    expect(() => providerAt('https://issuer.example.org', more)).toThrow(words);
  });

  it('take an address to come back to without query or fragment only', async () => {
    await using issuer = await startIssuer();
    const provider = providerAt(issuer.url);
    for (const redirectUri of [`${REDIRECT_URI}?x=y`, `${REDIRECT_URI}#x`, 'callback']) {
      await expect(provider.begin({ redirectUri })).rejects.toMatchObject({
        reason: 'ARGUMENT_INVALID',
      });
    }
  });
});
