import {
  genericGrantRequest,
  initiateDeviceAuthorization,
  type Configuration,
  type TokenEndpointResponse,
  type TokenEndpointResponseHelpers,
} from 'openid-client';
import { LRUCache } from 'lru-cache';

import { DomainError } from '../errors/domain-error.ts';
import type { Clock } from '../platform/clock.ts';
import { hashOf } from '../platform/secrets.ts';
import { errorNameOf } from './oidc-failures.ts';

/** A sign-in on another device (RFC 8628), as data that the caller keeps. */
export interface OidcDeviceFlow {
  readonly provider: string;
  /** A secret: whoever has it gets the identity. */
  readonly deviceCode: string;
  /** How long to wait between two polls, at least. */
  readonly intervalMs: number;
  /** What the user types at `verificationUri`. */
  readonly userCode: string;
  readonly verificationUri: string;
  /** The same address with the code in it; empty when the issuer offers none. */
  readonly verificationUriComplete: string;
  /** Unix milliseconds. */
  readonly expiresAtMs: number;
}

/** Tokens of an issuer, with its id token checked. */
export type OidcTokens = TokenEndpointResponse & TokenEndpointResponseHelpers;

/** Asks for tokens by device code, no faster than the issuer allows. */
export interface DevicePolls {
  /** Undefined while the user has not decided, and without asking when it is too early to ask. */
  poll(configuration: Configuration, flow: OidcDeviceFlow): Promise<OidcTokens | undefined>;
}

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const MS_PER_SECOND = 1000;
/** The pause of an issuer that names none, and by how much `slow_down` makes it longer. */
const INTERVAL_SECONDS = 5;
const SLOW_DOWN_MS = 5000;
const FLOW_MS_MAX = 1_800_000;
const PACES_MAX = 10_000;

/** Begins a sign-in on another device. FEATURE_DISABLED when the issuer has no such thing. */
export async function beginDeviceFlow(
  configuration: Configuration,
  { provider, scope, clock }: { readonly provider: string; readonly scope: string; clock: Clock },
): Promise<OidcDeviceFlow> {
  if (configuration.serverMetadata().device_authorization_endpoint === undefined) {
    const message = `the identity provider '${provider}' has no sign-in on another device`;
    throw new DomainError('FEATURE_DISABLED', message, { metadata: { provider } });
  }
  const answer = await initiateDeviceAuthorization(configuration, { scope });
  const { interval = INTERVAL_SECONDS, expires_in: expiresIn } = answer;
  return {
    provider,
    deviceCode: answer.device_code,
    intervalMs: interval * MS_PER_SECOND,
    userCode: answer.user_code,
    verificationUri: answer.verification_uri,
    verificationUriComplete: answer.verification_uri_complete ?? '',
    expiresAtMs: clock.now() + Math.min(expiresIn * MS_PER_SECOND, FLOW_MS_MAX),
  };
}

/** Creates the polls of one provider. Callers may poll as they please: the pace is kept here. */
export function createDevicePolls(clock: Clock): DevicePolls {
  const paces = new LRUCache<string, { readonly intervalMs: number; readonly nextMs: number }>({
    max: PACES_MAX,
  });
  return {
    async poll(configuration, { deviceCode, intervalMs: firstMs }) {
      const name = hashOf(deviceCode);
      const nowMs = clock.monotonic();
      const { intervalMs, nextMs } = paces.get(name) ?? { intervalMs: firstMs, nextMs: nowMs };
      if (nowMs < nextMs) return undefined;
      paces.set(name, { intervalMs, nextMs: nowMs + intervalMs });
      try {
        return await genericGrantRequest(configuration, GRANT, { device_code: deviceCode });
      } catch (error) {
        const answer = errorNameOf(error);
        if (answer === 'slow_down') {
          const slowerMs = intervalMs + SLOW_DOWN_MS;
          paces.set(name, { intervalMs: slowerMs, nextMs: clock.monotonic() + slowerMs });
        } else if (answer !== 'authorization_pending') throw error;
        return undefined;
      }
    },
  };
}
