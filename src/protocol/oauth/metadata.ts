import type { FastifyRequest } from '../http/door.ts';
import { OAuthError } from './refusal.ts';

/** Where each endpoint is. */
export const OAUTH_PATHS = {
  introspection: '/oauth2/introspect',
  revocation: '/oauth2/revoke',
  keys: '/.well-known/jwks.json',
  metadata: '/.well-known/oauth-authorization-server',
} as const;

const HOST = /^[A-Za-z0-9._-]{1,253}(:\d{1,5})?$|^\[[0-9a-fA-F:.]{2,45}\](:\d{1,5})?$/;

/**
 * What this server offers of OAuth 2.0 (RFC 8414): it introspects, revokes and publishes keys. It has no
 * authorization endpoint and no token endpoint, and says so by empty lists. The issuer is the `iss` of
 * tokens when that is an address, else the address that was asked. ARGUMENT_INVALID in the words of
 * OAuth for a malformed host.
 */
export function describeServer(
  request: Pick<FastifyRequest, 'host' | 'protocol'>,
  tokenIssuer: string,
): Readonly<Record<string, unknown>> {
  if (!HOST.test(request.host)) throw new OAuthError('invalid_request', 'the host is malformed');
  const configured = parseIssuer(tokenIssuer);
  // Behind a proxy that ends TLS, the configured address knows the scheme that callers use.
  const isConfigured = configured?.host === request.host;
  const base = isConfigured ? configured.origin : `${request.protocol}://${request.host}`;
  return {
    issuer: configured === undefined ? base : tokenIssuer,
    jwks_uri: `${base}${OAUTH_PATHS.keys}`,
    introspection_endpoint: `${base}${OAUTH_PATHS.introspection}`,
    introspection_endpoint_auth_methods_supported: ['Bearer'],
    revocation_endpoint: `${base}${OAUTH_PATHS.revocation}`,
    revocation_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: [],
    service_documentation: `${base}/docs`,
  };
}

function parseIssuer(text: string): URL | undefined {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text);
}
