import { ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';

import { DomainError } from '../errors/domain-error.ts';
import { causesOf, refused, unavailable } from './failures.ts';

/** What an issuer says when it does not know this server or cannot do its work (RFC 6749, section 5.2). */
const OPERATORS = ['invalid_client', 'unauthorized_client', 'unsupported_grant_type'];
const PASSING = ['server_error', 'temporarily_unavailable'];
/** The answer was none of the protocol at all: an error page, or something in between. */
const FOREIGN = ['OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON'];

/** A failure of the protocol: PROVIDER_UNAVAILABLE for the issuer's, CREDENTIAL_INVALID for all others. */
export function toFailure(provider: string, error: unknown): DomainError {
  const ours = causesOf(error).find((one) => one instanceof DomainError);
  if (ours !== undefined) return ours;
  const name = errorNameOf(error);
  if (OPERATORS.includes(name)) {
    return unavailable(provider, 'does not let this server in; check its client', error);
  }
  const isForeign = error instanceof ClientError && FOREIGN.includes(error.code ?? '');
  if (isForeign || PASSING.includes(name)) {
    return unavailable(provider, 'failed; try again later', error);
  }
  return refused(provider, error);
}

/** The error of OAuth that an issuer answered with; empty when it is none. */
export function errorNameOf(error: unknown): string {
  if (error instanceof ResponseBodyError) return error.error;
  if (error instanceof WWWAuthenticateChallengeError) {
    const isOurs = error.cause.some(
      ({ scheme, parameters }) => scheme === 'basic' || parameters.error === 'invalid_client',
    );
    return isOurs ? 'invalid_client' : '';
  }
  return '';
}
