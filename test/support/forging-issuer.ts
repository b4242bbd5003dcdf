import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';

import { SignJWT } from 'jose';

import { close, listen } from './issuer.ts';

/** What a token says, and how it is signed. */
export interface Forgery {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly header: { readonly alg: string; readonly kid?: string };
  /** The issuer's own key when absent. */
  readonly key?: CryptoKeyLike;
}

type CryptoKeyLike = Parameters<SignJWT['sign']>[0];

/** An issuer that signs what it is told to, or answers with something else altogether. */
export interface ForgingIssuer extends AsyncDisposable {
  readonly url: string;
  readonly requests: string[];
  /** Changes what the next token is. */
  forge(change: (sound: Forgery) => Forgery): void;
  /** Signs with another key from now on, and publishes that alone. */
  rotate(kid: string): void;
  /** Answers of the token endpoint, first to last, before tokens are given. */
  readonly answers: { readonly status: number; readonly body: unknown }[];
  /** Changes what the issuer says of itself. */
  readonly metadata: Record<string, unknown>;
}

const newKeys = (): KeyPairKeyObjectResult => generateKeyPairSync('rsa', { modulusLength: 2048 });
const HOUR_SECONDS = 3600;

/** Starts an issuer whose tokens are sound until they are changed. The code is the nonce of the token. */
export async function startForgingIssuer(clientId: string): Promise<ForgingIssuer> {
  const { server, url } = await listen();
  const metadata: Record<string, unknown> = {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    jwks_uri: `${url}/jwks`,
    device_authorization_endpoint: `${url}/device`,
    // Announces whatever might be tried.
    id_token_signing_alg_values_supported: ['RS256', 'RS384', 'HS256', 'none'],
  };
  const answers: ForgingIssuer['answers'] = [];
  const requests: string[] = [];
  let change = (sound: Forgery): Forgery => sound;
  let current = { kid: 'one', keys: newKeys() };

  async function tokenFor(nonce: string): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, exp: now + HOUR_SECONDS };
    const sound = { iss: url, aud: clientId, sub: 'ada', nonce, ...times };
    const { claims, header, key } = change({
      claims: sound,
      header: { alg: 'RS256', kid: current.kid },
    });
    if (header.alg === 'none') return `${encode(header)}.${encode(claims)}.`;
    return await new SignJWT({ ...claims })
      .setProtectedHeader(header)
      .sign(key ?? current.keys.privateKey);
  }

  async function answerTo(path: string, body: string): Promise<{ status: number; body: unknown }> {
    if (path.startsWith('/.well-known/')) return { status: 200, body: metadata };
    if (path === '/jwks') {
      const { kid, keys } = current;
      const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid };
      return { status: 200, body: { keys: [jwk] } };
    }
    if (path === '/device') {
      const codes = { device_code: 'device', user_code: 'USER-CODE', expires_in: 60, interval: 5 };
      return { status: 200, body: { ...codes, verification_uri: `${url}/verify` } };
    }
    const next = answers.shift();
    if (next !== undefined) return next;
    const nonce = new URLSearchParams(body).get('code') ?? '';
    const token = { access_token: 'the access token', token_type: 'Bearer' };
    return { status: 200, body: { ...token, id_token: await tokenFor(nonce) } };
  }

  server.on('request', (request, response) => {
    const pieces: Buffer[] = [];
    requests.push(request.url ?? '');
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      void answerTo(request.url ?? '', Buffer.concat(pieces).toString()).then(
        ({ status, body }) => {
          const text = typeof body === 'string' ? body : JSON.stringify(body);
          const type = typeof body === 'string' ? 'text/html' : 'application/json';
          response.writeHead(status, { 'content-type': type }).end(text);
        },
      );
    });
  });
  return {
    ...{ url, requests, answers, metadata },
    forge(next) {
      change = next;
    },
    rotate(kid) {
      current = { kid, keys: newKeys() };
    },
    [Symbol.asyncDispose]: () => close(server),
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
