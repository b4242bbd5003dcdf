import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';

import type { TestServer } from '../../support/server.ts';
import { testConfig } from '../../support/server.ts';

type Json = Readonly<Record<string, unknown>>;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string): Json =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Json;

function hmac(
  [header, claims]: readonly [Json, Json],
  secret: string | Buffer,
  hash = 'sha256',
): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

function signed(
  [header, claims]: readonly [Json, Json],
  key: KeyObject,
  hash: string | null,
): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${sign(hash, Buffer.from(text), key).toString('base64url')}`;
}

/**
 * The real token, signed by HMAC with the public key that the server itself publishes, in every form that
 * a careless server might take for its secret. None for a server whose key is a secret.
 */
export async function forgedByPublicKey(
  server: TestServer,
): Promise<readonly (readonly [string, string])[]> {
  const [head = '', body = ''] = (await server.rootToken()).split('.');
  const [header, claims] = [decode(head), decode(body)];
  const { keys } = (await server.request('GET', '/v1/signingKeys')).body;
  const published = (keys as readonly { readonly publicJwk: string }[]).filter(
    ({ publicJwk }) => publicJwk !== '',
  );
  return published.flatMap(({ publicJwk }) => {
    const key = createPublicKey({ key: JSON.parse(publicJwk) as never, format: 'jwk' });
    const x = String((JSON.parse(publicJwk) as Json)['x']);
    const forms = {
      pem: key.export({ type: 'spki', format: 'pem' }).toString(),
      'pem without its last line break': key
        .export({ type: 'spki', format: 'pem' })
        .toString()
        .trimEnd(),
      der: key.export({ type: 'spki', format: 'der' }),
      'raw x': Buffer.from(x, 'base64url'),
    };
    const texts = { ...forms, 'x as text': x, 'jwk as text': publicJwk };
    return [
      ...Object.entries(texts).map(([form, secret]): readonly [string, string] => [
        `its own public key as the secret, ${form}`,
        hmac([{ ...header, alg: 'HS256' }, claims], secret),
      ]),
      ...(['HS384', 'HS512'] as const).map((alg): readonly [string, string] => [
        `its own public key as the secret, ${alg}`,
        hmac([{ ...header, alg }, claims], forms.pem, alg.replace('HS', 'sha')),
      ]),
    ];
  });
}

/**
 * Tokens that nobody issued, or that were issued for something else, after the attacks of RFC 8725 and
 * of the reports that came after it. Many are signed with the real secret: only what they say is wrong.
 */
export async function forgedTokens(
  server: TestServer,
): Promise<readonly (readonly [string, string])[]> {
  const { jwtSecret } = testConfig('');
  const real = await server.rootToken();
  const [head = '', body = '', signature = ''] = real.split('.');
  const [header, claims] = [decode(head), decode(body)];
  const good = (change: Json, headers: Json = {}): string =>
    hmac(
      [
        { ...header, ...headers },
        { ...claims, ...change },
      ],
      jwtSecret,
    );
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed = generateKeyPairSync('ed25519');
  const jwk = ed.publicKey.export({ format: 'jwk' });
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const later = Math.floor(Date.now() / 1000) + 100 * 366 * 86_400;
  return [
    ['alg none', `${encode({ ...header, alg: 'none' })}.${body}.`],
    ['alg None', `${encode({ ...header, alg: 'None' })}.${body}.`],
    ['alg none with a signature', `${encode({ ...header, alg: 'none' })}.${body}.${signature}`],
    ['no signature', `${head}.${body}.`],
    ['two parts', `${head}.${body}`],
    ['five parts', `${real}.x.y`],
    ['another secret', hmac([header, claims], 'another secret of thirty-two bytes and more')],
    ['an empty secret', hmac([header, claims], '')],
    [
      'HS512 with the real secret',
      hmac([{ ...header, alg: 'HS512' }, claims], jwtSecret, 'sha512'),
    ],
    ['RS256', signed([{ ...header, alg: 'RS256' }, claims], rsa.privateKey, 'sha256')],
    ['EdDSA of an unknown key', signed([{ ...header, alg: 'EdDSA' }, claims], ed.privateKey, null)],
    ['a public key as the secret', hmac([header, claims], pem)],
    [
      'a key that it carries (jwk)',
      signed([{ ...header, alg: 'EdDSA', jwk }, claims], ed.privateKey, null),
    ],
    [
      'a key that it points to (jku)',
      signed(
        [{ ...header, alg: 'EdDSA', jku: `${server.url}/.well-known/jwks.json` }, claims],
        ed.privateKey,
        null,
      ),
    ],
    ['a certificate that it carries (x5c)', good({}, { x5c: ['AAAA'], kid: 'x' })],
    ['no kid', hmac([{ alg: 'HS256', typ: 'at+jwt' }, claims], jwtSecret)],
    ['an unknown kid', good({}, { kid: 'unknown' })],
    ['a kid that is a path', good({}, { kid: '../../../../dev/null' })],
    ['a kid that is SQL', good({}, { kid: "x' UNION SELECT 'a" })],
    ['a kid that is no text', good({}, { kid: ['a'] })],
    ['a kid of Object.prototype', good({}, { kid: '__proto__' })],
    ['typ JWT', good({}, { typ: 'JWT' })],
    ['typ of an id token', good({}, { typ: 'id+jwt' })],
    ['no typ', good({}, { typ: undefined })],
    ['an unknown critical header', good({}, { crit: ['x'], x: 1 })],
    ['b64 false', good({}, { crit: ['b64'], b64: false })],
    ['another issuer', good({ iss: 'somebody' })],
    ['no issuer', good({ iss: undefined })],
    ['another audience', good({ aud: 'somebody' })],
    ['no audience', good({ aud: undefined })],
    ['not yet valid', good({ nbf: later })],
    ['expired', good({ exp: 1 })],
    ['no end', good({ exp: undefined })],
    ['an end that is text', good({ exp: '9999999999' })],
    ['no subject', good({ sub: undefined })],
    ['no id', good({ jti: undefined })],
    ['no user', good({ uid: undefined })],
    ['another user id', good({ uid: '00000000-0000-4000-8000-000000000000' })],
    ['no scopes', good({ scopes: undefined })],
    ['scopes that are text', good({ scopes: '*:*:*' })],
    ['scopes that are none', good({ scopes: ['all'], sid: undefined })],
    ['ancestors that are text', good({ anc: 'x' })],
    ['ancestors of another shape', good({ anc: [[1, 2, 3, 4, 5]] })],
    ['changed claims', `${head}.${encode({ ...claims, sub: 'eve' })}.${signature}`],
    ['a changed signature', `${head}.${body}.${signature.slice(0, -4)}AAAA`],
    ['a huge payload', good({ filler: 'x'.repeat(8_000) }).slice(0, -1)],
    ['padding', `${real}=`],
    ['a second token behind it', `${real},${real}`],
  ];
}
