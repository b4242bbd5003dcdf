import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import Provider, { type Configuration, type JWK } from 'oidc-provider';

import { createIssuerStore } from './issuer-store.ts';

/** Where browsers come back to. Nothing listens there. */
export const REDIRECT_URI = 'http://127.0.0.1:9/callback';
/** A client that has a secret. */
export const CLIENT = { clientId: 'molten', clientSecret: 'the secret of the client, long enough' };
/** A client that has none. */
export const PUBLIC_CLIENT = 'molten-public';
/** What the issuer says of everybody who signs in. */
export const ADA: Readonly<Record<string, unknown>> & { readonly sub: string } = {
  sub: 'ada',
  name: 'Ada Lovelace',
  preferred_username: 'ada.lovelace',
  email: 'ada@example.org',
  email_verified: true,
  groups: ['operators', 'engines'],
};

/** An issuer of OpenID Connect that runs in this process. */
export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** Paths that were asked for. */
  readonly requests: string[];
  /** Who signs in declines from now on. */
  decline(): void;
}

/** How an issuer differs from the plain one. */
export interface IssuerOptions {
  /** 0: one that is free. */
  readonly port?: number;
  /** Tells claims at the userinfo endpoint only. */
  readonly keepsClaims?: boolean;
  readonly algorithm?: 'RS256' | 'PS256' | 'ES256' | 'EdDSA' | 'HS256';
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly device?: boolean;
}

const GRANTS = ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'];
const KEYS = [
  key(generateKeyPairSync('rsa', { modulusLength: 2048 })),
  key(generateKeyPairSync('ec', { namedCurve: 'P-256' })),
  key(generateKeyPairSync('ed25519')),
];

/** Starts an issuer on loopback, whose users sign in without being asked. */
export async function startIssuer(options: IssuerOptions = {}): Promise<Issuer> {
  const { server, url } = await listen(options.port ?? 0);
  const provider = new Provider(url, configurationFor(options));
  const callback = provider.callback();
  const requests: string[] = [];
  let declines = false;
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    requests.push(request.url ?? '');
    if (request.url?.startsWith('/interaction/') !== true) {
      await callback(request, response);
      return;
    }
    const result = declines ? { error: 'access_denied' } : { login: { accountId: ADA.sub } };
    await provider.interactionFinished(request, response, result);
  }
  server.on('request', (request, response) => {
    void answer(request, response);
  });
  return {
    url,
    requests,
    decline() {
      declines = true;
    },
    [Symbol.asyncDispose]: () => close(server),
  };
}

/** Listens on loopback. */
export async function listen(port = 0): Promise<{ server: Server; url: string }> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Ends a server and what is connected to it. */
export async function close(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}

function configurationFor(options: IssuerOptions): Configuration {
  const { keepsClaims = false, algorithm = 'RS256', claims = ADA, device = true } = options;
  const client = {
    redirect_uris: [REDIRECT_URI],
    grant_types: device ? GRANTS : GRANTS.slice(0, 1),
    response_types: ['code' as const],
    id_token_signed_response_alg: algorithm,
  };
  return {
    adapter: createIssuerStore(),
    clients: [
      { ...client, client_id: CLIENT.clientId, client_secret: CLIENT.clientSecret },
      { ...client, client_id: PUBLIC_CLIENT, token_endpoint_auth_method: 'none' as const },
    ].slice(0, algorithm === 'HS256' ? 1 : 2),
    jwks: { keys: KEYS },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'] },
    cookies: { keys: ['a key for the cookies of tests'] },
    conformIdTokenClaims: keepsClaims,
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'groups', 'realm_access'],
      email: ['email', 'email_verified'],
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: device,
        userCodeInputSource: (ctx, form) => void (ctx.body = form),
        userCodeConfirmSource: (ctx, form) => void (ctx.body = form),
        successSource: (ctx) => void (ctx.body = 'done'),
      },
    },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...claims, sub }) }),
    async loadExistingGrant({ oidc }) {
      const clientId = oidc.client?.clientId ?? '';
      const grant = new oidc.provider.Grant({ clientId, accountId: ADA.sub });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
    ttl: { Interaction: 60, Session: 60, Grant: 60, AccessToken: 60, IdToken: 60, DeviceCode: 60 },
  };
}

function key({ privateKey }: ReturnType<typeof generateKeyPairSync>): JWK {
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig' };
}
