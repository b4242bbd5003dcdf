import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  type Configuration,
} from 'openid-client';
import { LRUCache } from 'lru-cache';

import type { Clock } from '../platform/clock.ts';
import { createProviderGate, misconfigured, refused } from './failures.ts';
import type { ExternalIdentity } from './model.ts';
import { identityOf, isIncomplete, type ClaimNames } from './oidc-claims.ts';
import {
  beginDeviceFlow,
  createDevicePolls,
  type OidcDeviceFlow,
  type OidcTokens,
} from './oidc-device.ts';
import { createDiscovery } from './oidc-discovery.ts';
import { toFailure } from './oidc-failures.ts';
import { createFetch, isAllowed } from './oidc-fetch.ts';

/** An issuer of OpenID Connect, and what it knows this server as. */
export interface OidcProviderOptions {
  /** The provider's name in the configuration. */
  readonly name: string;
  /** The issuer's URL, exactly as it calls itself. */
  readonly issuer: string;
  readonly clientId: string;
  /** Absent: a public client, which PKCE alone protects. */
  readonly clientSecret?: string;
  /** Absent: `openid profile email`. */
  readonly scopes?: readonly string[];
  /** Absent: `preferred_username`. Falls back to the address, then to the subject. */
  readonly usernameClaim?: string;
  /** Absent: `groups`. A path such as `realm_access.roles` works too. */
  readonly groupsClaim?: string;
  /** Asks the userinfo endpoint when the id token leaves the user name or the groups open. */
  readonly readsUserInfo?: boolean;
  /** An issuer on loopback may do without TLS: for development and for tests. */
  readonly allowInsecure?: boolean;
  readonly clock: Clock;
}

/** A sign-in in a browser, as data that the caller keeps and that the browser must not see. */
export interface OidcFlow {
  readonly provider: string;
  readonly codeVerifier: string;
  readonly state: string;
  readonly nonce: string;
  readonly redirectUri: string;
  /** Unix milliseconds. */
  readonly expiresAtMs: number;
}

/**
 * Signing in at an issuer: by authorization code with PKCE, state and nonce (RFC 9700), or on another device
 * (RFC 8628).
 *
 * CREDENTIAL_INVALID for whatever does not fit together, PROVIDER_UNAVAILABLE when the issuer cannot be asked
 * or does not know this server, RATE_LIMITED when too many wait for it.
 */
export interface OidcProvider {
  /** Where to send the browser. Keep `flow` until it comes back: for ten minutes. */
  begin(request: { readonly redirectUri: string }): Promise<{ url: string; flow: OidcFlow }>;
  /** Who came back. A flow is finished once. */
  finish(answer: {
    readonly callbackUrl: string;
    readonly flow: OidcFlow;
  }): Promise<ExternalIdentity>;
  /** FEATURE_DISABLED when the issuer does not offer it. */
  beginDevice(): Promise<OidcDeviceFlow>;
  /** Undefined while the user has not decided. May be called at any pace; the issuer's is kept. */
  pollDevice(flow: OidcDeviceFlow): Promise<ExternalIdentity | undefined>;
}

const FLOW_MS = 600_000;
const SCOPES = ['openid', 'profile', 'email'];
/** States that were used; older ones have expired long before they are forgotten. */
const USED_MAX = 10_000;

/** Creates a provider. Asks the issuer nothing before it is used. ARGUMENT_INVALID for unsafe options. */
export function createOidcProvider(options: OidcProviderOptions): OidcProvider {
  const { name, clock } = options;
  const discover = createDiscovery(issuerOf(options));
  const scope = [...new Set(['openid', ...(options.scopes ?? SCOPES)])].join(' ');
  const gate = createProviderGate();
  const used = new LRUCache<string, true>({ max: USED_MAX });
  const polls = createDevicePolls(clock);

  function attempt<T>(task: (configuration: Configuration) => Promise<T>): Promise<T> {
    return gate.run(async () => {
      try {
        return await task(await discover());
      } catch (error) {
        throw toFailure(name, error);
      }
    });
  }

  return {
    async begin({ redirectUri }) {
      checkRedirectUri(name, redirectUri);
      return await attempt(async (configuration) => {
        const flow = { ...newSecrets(), redirectUri, expiresAtMs: clock.now() + FLOW_MS };
        const url = await authorizationUrl(configuration, flow, scope);
        return { url, flow: { provider: name, ...flow } };
      });
    },
    async finish({ callbackUrl, flow }) {
      const url = answerUrl(callbackUrl, flow);
      if (url === undefined || !isOpen(flow, name, clock)) throw refused(name);
      return await attempt(async (configuration) => {
        if (used.has(flow.state)) throw refused(name);
        // An answer to another question does not use this one up.
        if (url.searchParams.get('state') === flow.state) used.set(flow.state, true);
        try {
          return await identify(configuration, await exchange(configuration, url, flow), options);
        } catch (error) {
          const failure = toFailure(name, error);
          // Nothing was decided; that a code works only once, the issuer sees to.
          if (failure.reason === 'PROVIDER_UNAVAILABLE') used.delete(flow.state);
          throw failure;
        }
      });
    },
    beginDevice: () =>
      attempt((configuration) => beginDeviceFlow(configuration, { provider: name, scope, clock })),
    async pollDevice(flow) {
      if (!isOpen(flow, name, clock)) throw refused(name);
      return await attempt(async (configuration) => {
        const tokens = await polls.poll(configuration, flow);
        return tokens === undefined ? undefined : await identify(configuration, tokens, options);
      });
    },
  };
}

function issuerOf(options: OidcProviderOptions): Parameters<typeof createDiscovery>[0] {
  const { name, issuer: text, clientId, clientSecret, allowInsecure = false, clock } = options;
  const issuer = URL.parse(text);
  if (issuer?.search !== '' || issuer.hash !== '') {
    throw misconfigured(name, 'needs the URL of its issuer');
  }
  if (!isAllowed(issuer.href, allowInsecure)) {
    throw misconfigured(name, 'needs an issuer with https://');
  }
  if (clientId === '' || clientSecret === '') {
    throw misconfigured(name, 'needs a client id, and a secret that is not empty if it has one');
  }
  const fetch = createFetch(name, { allowInsecure });
  return { name, issuer, clientId, clientSecret, fetch, allowInsecure, clock };
}

function newSecrets(): Pick<OidcFlow, 'codeVerifier' | 'state' | 'nonce'> {
  return { codeVerifier: randomPKCECodeVerifier(), state: randomState(), nonce: randomNonce() };
}

async function authorizationUrl(
  configuration: Configuration,
  { codeVerifier, state, nonce, redirectUri }: Omit<OidcFlow, 'provider'>,
  scope: string,
): Promise<string> {
  return buildAuthorizationUrl(configuration, {
    ...{ redirect_uri: redirectUri, scope, state, nonce },
    code_challenge: await calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
  }).href;
}

/** The library sends what it makes of the answer's address as `redirect_uri`: without query and fragment. */
function checkRedirectUri(name: string, redirectUri: string): void {
  const url = URL.parse(redirectUri);
  if (url?.search !== '' || url.hash !== '' || url.href !== redirectUri) {
    throw misconfigured(name, 'needs a redirect address in normal form, without query or fragment');
  }
}

/** What came back, at the address that was asked for: behind a proxy the server may see another. */
function answerUrl(callbackUrl: string, { redirectUri }: OidcFlow): URL | undefined {
  const answer = URL.parse(callbackUrl, redirectUri);
  const url = URL.parse(redirectUri);
  if (answer === null || url === null) return undefined;
  url.search = answer.search;
  return url;
}

function exchange(configuration: Configuration, url: URL, flow: OidcFlow): Promise<OidcTokens> {
  return authorizationCodeGrant(configuration, url, {
    pkceCodeVerifier: flow.codeVerifier,
    expectedState: flow.state,
    expectedNonce: flow.nonce,
    idTokenExpected: true,
  });
}

function isOpen(flow: OidcFlow | OidcDeviceFlow, name: string, clock: Clock): boolean {
  const secrets = 'state' in flow ? [flow.state, flow.nonce, flow.codeVerifier] : [flow.deviceCode];
  return flow.provider === name && clock.now() < flow.expiresAtMs && !secrets.includes('');
}

async function identify(
  configuration: Configuration,
  tokens: OidcTokens,
  options: OidcProviderOptions,
): Promise<ExternalIdentity> {
  const { name, readsUserInfo = false } = options;
  const names: ClaimNames = {
    username: options.usernameClaim ?? 'preferred_username',
    groups: options.groupsClaim ?? 'groups',
  };
  const token = tokens.claims();
  if (token === undefined) throw refused(name, new Error('the issuer sent no id token'));
  const isAsked = readsUserInfo && isIncomplete(token, names);
  const userInfo = isAsked
    ? await fetchUserInfo(configuration, tokens.access_token, token.sub)
    : {};
  return identityOf(name, { token, userInfo }, names);
}
