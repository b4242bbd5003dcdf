/** Tokens that are wrong in one respect each, from an issuer that gives whatever it is told to. */
import { generateKeyPairSync } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { createOidcProvider, type OidcProvider } from '../../../src/identity/oidc.ts';
import { startForgingIssuer } from '../../support/forging-issuer.ts';
import type { Forgery, ForgingIssuer } from '../../support/forging-issuer.ts';
import { CLIENT, REDIRECT_URI } from '../../support/issuer.ts';
import { createManualClock } from '../../support/manual-clock.ts';

const REFUSED = {
  reason: 'CREDENTIAL_INVALID',
  message: expect.stringContaining('start it again'),
};
const SECRET = Buffer.from(CLIENT.clientSecret);
const NOW = Math.floor(Date.now() / 1000);
const STRANGER = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

let issuer: ForgingIssuer;
let provider: OidcProvider;
let clock: ReturnType<typeof createManualClock>;

beforeAll(async () => {
  issuer = await startForgingIssuer(CLIENT.clientId);
});
afterAll(async () => {
  await issuer[Symbol.asyncDispose]();
});
beforeEach(() => {
  clock = createManualClock();
  provider = providerHere();
  issuer.forge((sound) => sound);
  issuer.answers.length = 0;
});

function providerHere(): OidcProvider {
  const options = { name: 'company', issuer: issuer.url, allowInsecure: true, clock };
  return createOidcProvider({ ...options, ...CLIENT });
}

async function signIn(state?: string): Promise<unknown> {
  const { flow } = await provider.begin({ redirectUri: REDIRECT_URI });
  const callbackUrl = `${REDIRECT_URI}?state=${state ?? flow.state}&code=${flow.nonce}`;
  return await provider.finish({ callbackUrl, flow });
}

/** A change of claims; undefined leaves one out. */
function saying(claims: Readonly<Record<string, unknown>>): (sound: Forgery) => Forgery {
  return (sound) => ({ ...sound, claims: { ...sound.claims, ...claims } });
}

describe('a token', () => {
  it('is taken when nothing is wrong with it', async () => {
    expect(await signIn()).toMatchObject({ subject: 'ada' });
  });

  it('is taken when it ended less than half a minute ago, for the sake of clocks', async () => {
    issuer.forge(saying({ exp: NOW - 20 }));
    expect(await signIn()).toMatchObject({ subject: 'ada' });
  });

  it.each([
    ['for another sign-in', saying({ nonce: 'another' })],
    ['for no sign-in', saying({ nonce: undefined })],
    ['for another client', saying({ aud: 'another' })],
    ['for several clients, given to another', saying({ aud: ['molten', 'other'], azp: 'other' })],
    ['for several clients, given to nobody', saying({ aud: ['molten', 'other'] })],
    ['of another issuer', saying({ iss: 'https://issuer.example.org' })],
    ['of nobody', saying({ sub: undefined })],
    ['that has ended', saying({ exp: NOW - 60 })],
    ['that never ends', saying({ exp: undefined })],
    ['that is not valid yet', saying({ nbf: NOW + 300 })],
  ])('is refused %s', async (_, change) => {
    issuer.forge(change);
    await expect(signIn()).rejects.toMatchObject(REFUSED);
  });

  it.each([
    ['by the secret of the client', { header: { alg: 'HS256' }, key: SECRET }],
    ['by nobody', { header: { alg: 'none' } }],
    ['by a stranger', { header: { alg: 'RS256', kid: 'one' }, key: STRANGER }],
    ['by a key that the issuer does not have', { header: { alg: 'RS256', kid: 'two' } }],
    ['in a way that is not on the list', { header: { alg: 'RS384', kid: 'one' } }],
  ])('is refused when it is signed %s', async (_, change) => {
    issuer.forge((sound) => ({ ...sound, ...change }));
    await expect(signIn()).rejects.toMatchObject(REFUSED);
  });

  it('is refused when it is missing, and says so to the log without the others', async () => {
    issuer.answers.push({
      status: 200,
      body: { access_token: 'very secret', token_type: 'bearer' },
    });
    const failure: unknown = await signIn().catch((error: unknown) => error);
    expect(failure).toMatchObject(REFUSED);
    const { cause } = failure as Error;
    expect(cause).toMatchObject({ message: expect.stringContaining('id_token') as string });
    const { cause: deeper, stack } = cause as Error;
    expect(deeper).toBeUndefined();
    expect(String(stack) + JSON.stringify(failure)).not.toContain('very secret');
  });

  it('is not even asked for when the answer is to another question', async () => {
    const asked = issuer.requests.filter((path) => path === '/token').length;
    await expect(signIn('another')).rejects.toMatchObject(REFUSED);
    expect(issuer.requests.filter((path) => path === '/token')).toHaveLength(asked);
  });

  it('is not taken with more groups than anybody should have', async () => {
    issuer.forge(saying({ groups: Array.from({ length: 1000 }, (_, at) => `g${at}`) }));
    expect(await signIn()).toMatchObject({ groups: expect.objectContaining({ length: 1000 }) });
    issuer.forge(saying({ groups: Array.from({ length: 1001 }, (_, at) => `g${at}`) }));
    await expect(signIn()).rejects.toMatchObject({ reason: 'PROVIDER_UNAVAILABLE' });
  });

  it('is not read for what every object has', async () => {
    issuer.forge(saying({ groups: ['__proto__', 'constructor'], constructor: { name: ['root'] } }));
    expect(await signIn()).toMatchObject({ groups: ['__proto__', 'constructor'] });
  });
});

describe('the keys of an issuer', () => {
  it('are asked for once, and again when it signs with one that is not known', async () => {
    await using own = await startForgingIssuer(CLIENT.clientId);
    const options = { name: 'company', issuer: own.url, allowInsecure: true, clock };
    const mine = createOidcProvider({ ...options, ...CLIENT });
    const enter = async (): Promise<unknown> => {
      const { flow } = await mine.begin({ redirectUri: REDIRECT_URI });
      const callbackUrl = `${REDIRECT_URI}?state=${flow.state}&code=${flow.nonce}`;
      return await mine.finish({ callbackUrl, flow });
    };
    const asked = (): number => own.requests.filter((path) => path === '/jwks').length;
    for (let at = 0; at < 3; at++) expect(await enter()).toMatchObject({ subject: 'ada' });
    expect(asked()).toBe(1);
    own.rotate('two');
    // Whoever invents names of keys does not make this server ask for each of them.
    for (let at = 0; at < 3; at++) await expect(enter()).rejects.toMatchObject(REFUSED);
    expect(asked()).toBe(1);
    const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 61_000);
    for (let at = 0; at < 3; at++) expect(await enter()).toMatchObject({ subject: 'ada' });
    expect(asked()).toBe(2);
    own.rotate('three');
    later.mockReturnValue(Date.now() + 61_000);
    expect(await enter()).toMatchObject({ subject: 'ada' });
    expect(asked()).toBe(3);
    later.mockRestore();
  });
});

describe('an issuer', () => {
  it.each([
    ['fails', { status: 500, body: { error: 'server_error' } }],
    ['asks for patience', { status: 429, body: {} }],
    ['answers with a page', { status: 200, body: '<html></html>' }],
    ['is not there any more', { status: 404, body: '<html></html>' }],
    ['sends without end', { status: 200, body: { x: 'x'.repeat(1024 * 1024) } }],
    ['does not let this server in', { status: 401, body: { error: 'invalid_client' } }],
  ])('that %s is unavailable', async (_, answer) => {
    issuer.answers.push(answer);
    await expect(signIn()).rejects.toMatchObject({ reason: 'PROVIDER_UNAVAILABLE' });
  });

  it.each([
    ['describe itself', { issuer: 'https://issuer.example.org' }],
    ['signs with none of', { id_token_signing_alg_values_supported: ['HS256'] }],
    ['has an address without TLS', { jwks_uri: 'http://example.org/jwks' }],
  ])('that %s … is unavailable', async (words, change) => {
    const before = { ...issuer.metadata };
    Object.assign(issuer.metadata, change);
    await expect(signIn()).rejects.toMatchObject({
      reason: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining(words),
    });
    Object.assign(issuer.metadata, before);
    provider = providerHere();
    expect(await signIn()).toMatchObject({ subject: 'ada' });
  });

  it('that stands for all tenants of a cloud is none', async () => {
    const metadata = {
      ...issuer.metadata,
      issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0',
    };
    vi.stubGlobal('fetch', async () => Response.json(metadata));
    const everybody = createOidcProvider({
      ...{ name: 'company', issuer: 'https://login.microsoftonline.com/common/v2.0' },
      ...{ ...CLIENT, clock },
    });
    await expect(everybody.begin({ redirectUri: REDIRECT_URI })).rejects.toMatchObject({
      reason: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining('another issuer'),
    });
    vi.unstubAllGlobals();
  });

  it('that fails while a sign-in is finished lets it be finished again', async () => {
    const { flow } = await provider.begin({ redirectUri: REDIRECT_URI });
    const callbackUrl = `${REDIRECT_URI}?state=${flow.state}&code=${flow.nonce}`;
    issuer.answers.push({ status: 503, body: {} });
    const failing = provider.finish({ callbackUrl, flow });
    await expect(failing).rejects.toMatchObject({ reason: 'PROVIDER_UNAVAILABLE' });
    expect(await provider.finish({ callbackUrl, flow })).toMatchObject({ subject: 'ada' });
    await expect(provider.finish({ callbackUrl, flow })).rejects.toMatchObject(REFUSED);
  });

  it('is asked what it is once an hour, and believed on while it does not say', async () => {
    const asked = (): number => issuer.requests.filter((path) => path.includes('known')).length;
    const before = asked();
    await Promise.all([signIn(), signIn()]);
    await signIn();
    expect(asked()).toBe(before + 1);
    clock.advance(3_600_000);
    issuer.metadata['issuer'] = 'https://issuer.example.org';
    expect(await signIn()).toMatchObject({ subject: 'ada' });
    issuer.metadata['issuer'] = issuer.url;
    expect(asked()).toBeGreaterThan(before + 1);
  });

  it('that wants fewer polls gets fewer', async () => {
    const polls = (): number => issuer.requests.filter((path) => path === '/token').length;
    const before = polls();
    issuer.answers.push({ status: 400, body: { error: 'slow_down' } });
    issuer.answers.push({ status: 400, body: { error: 'authorization_pending' } });
    const flow = await provider.beginDevice();
    for (const [waitedMs, expected] of [
      [0, 1],
      [9_999, 1],
      [1, 2],
      [9_999, 2],
    ] as const) {
      clock.advance(waitedMs);
      expect(await provider.pollDevice(flow)).toBeUndefined();
      expect(polls()).toBe(before + expected);
    }
    clock.advance(1);
    expect(await provider.pollDevice(flow)).toMatchObject({ subject: 'ada' });
  });
});
