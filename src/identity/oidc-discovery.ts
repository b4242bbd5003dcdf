import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  clockTolerance,
  Configuration,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  None,
  type ClientAuth,
  type CustomFetch,
  type ServerMetadata,
} from 'openid-client';

import { DomainError } from '../errors/domain-error.ts';
import type { Clock } from '../platform/clock.ts';
import { causesOf, unavailable } from './failures.ts';

/** What is needed to find out how an issuer is spoken to. */
export interface IssuerOptions {
  readonly name: string;
  readonly issuer: URL;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly fetch: CustomFetch;
  readonly allowInsecure: boolean;
  readonly clock: Clock;
}

/** Signatures that are accepted: none that a shared secret makes, and never `none`. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
/** The algorithm of an issuer that names none (OpenID Connect Discovery, section 3). */
const ALGORITHM_DEFAULT = 'RS256';
/** By how much the clocks of the issuer and of this server may differ. */
const CLOCK_TOLERANCE_SECONDS = 30;
const REQUEST_TIMEOUT_SECONDS = 10;
/** How long what an issuer says of itself is believed. Its keys are kept for five minutes, by the library. */
const FRESH_MS = 3_600_000;

/**
 * What an issuer says of itself, asked for when it is first needed and once an hour. After a failure the
 * next call asks again; what was known before serves until then. PROVIDER_UNAVAILABLE.
 */
export function createDiscovery(options: IssuerOptions): () => Promise<Configuration> {
  const { clock } = options;
  let known: { readonly configuration: Configuration; readonly staleAtMs: number } | undefined;
  let asking: Promise<Configuration> | undefined;

  async function ask(): Promise<Configuration> {
    try {
      const configuration = await discover(options);
      known = { configuration, staleAtMs: clock.monotonic() + FRESH_MS };
      return configuration;
    } catch (error) {
      if (known === undefined) throw error;
      return known.configuration;
    } finally {
      asking = undefined;
    }
  }

  return async () => {
    if (known !== undefined && clock.monotonic() < known.staleAtMs) return known.configuration;
    return await (asking ??= ask());
  };
}

async function discover(options: IssuerOptions): Promise<Configuration> {
  const { name, issuer, clientId, fetch, allowInsecure } = options;
  const execute = allowInsecure ? [allowInsecureRequests] : [];
  const found = await discovery(issuer, clientId, undefined, None(), {
    ...{ [customFetch]: fetch, timeout: REQUEST_TIMEOUT_SECONDS, execute },
  }).catch((error: unknown) => {
    throw (
      causesOf(error).find((one) => one instanceof DomainError) ??
      unavailable(name, 'does not describe itself as OpenID Connect asks for', error)
    );
  });
  const metadata = { ...found.serverMetadata() };
  // The library lets some issuers announce another name than the one they were asked by.
  if (URL.parse(metadata.issuer)?.href !== issuer.href) {
    throw unavailable(name, 'announces another issuer than the one configured');
  }
  const configuration = new Configuration(
    { ...metadata, ...allowedAlgorithms(name, metadata) },
    clientId,
    { [clockTolerance]: CLOCK_TOLERANCE_SECONDS },
    authenticationFor(metadata, options.clientSecret),
  );
  configuration.timeout = REQUEST_TIMEOUT_SECONDS;
  configuration[customFetch] = fetch;
  for (const extend of execute) extend(configuration);
  // Without this the library relies on TLS alone and does not look at signatures.
  enableNonRepudiationChecks(configuration);
  return configuration;
}

/** The library accepts what the issuer announces; so the announcement is cut to what is acceptable. */
function allowedAlgorithms(name: string, metadata: ServerMetadata): Partial<ServerMetadata> {
  const { id_token_signing_alg_values_supported: announced = [ALGORITHM_DEFAULT] } = metadata;
  const allowed = announced.filter((algorithm) => ALGORITHMS.includes(algorithm));
  if (allowed.length === 0) {
    throw unavailable(name, `signs with none of ${ALGORITHMS.join(', ')}`);
  }
  return {
    id_token_signing_alg_values_supported: allowed,
    userinfo_signing_alg_values_supported: ALGORITHMS,
  };
}

/** Basic is what every issuer must offer (RFC 6749, section 2.3.1); some announce only the other way. */
function authenticationFor(metadata: ServerMetadata, secret: string | undefined): ClientAuth {
  if (secret === undefined) return None();
  const { token_endpoint_auth_methods_supported: methods } = metadata;
  const isPostOnly =
    methods?.includes('client_secret_post') === true && !methods.includes('client_secret_basic');
  return isPostOnly ? ClientSecretPost(secret) : ClientSecretBasic(secret);
}
