/** Errors as RFC 6749 section 5.2 and RFC 6750 section 3 have them. */
import type { FastifyReply } from '../http/door.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toWireError, type WireError } from '../mapping/error.ts';

/** The codes that are used here. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'temporarily_unavailable'
  | 'server_error';

/** A request that this door refuses by itself. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly status: number;

  constructor(code: OAuthErrorCode, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const BAD_REQUEST = 400;
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const TOO_MANY = 429;
const UNAVAILABLE = 503;

/** Answers with an error; what failed by our fault says nothing of its cause. */
export async function sendOAuthError(reply: FastifyReply, error: unknown): Promise<FastifyReply> {
  const [known, wire] = error instanceof OAuthError ? [error] : translate(error);
  const challenge = wire && challengeOf(wire);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  if (wire !== undefined) setRetryAfter(reply, wire);
  const body = { error: known.code, error_description: describe(known.message) };
  return await reply
    .code(known.status)
    .header('cache-control', 'no-store')
    .type('application/json')
    .send(JSON.stringify(body));
}

function translate(error: unknown): readonly [OAuthError, WireError] {
  const wire = toWireError(error);
  return [fromWire(wire), wire];
}

function fromWire({ httpStatus, message }: WireError): OAuthError {
  switch (httpStatus) {
    case BAD_REQUEST:
      return new OAuthError('invalid_request', message);
    case UNAUTHORIZED:
      return new OAuthError('invalid_token', message, UNAUTHORIZED);
    case FORBIDDEN:
      return new OAuthError('insufficient_scope', message, FORBIDDEN);
    case TOO_MANY:
    case UNAVAILABLE:
      return new OAuthError('temporarily_unavailable', message, httpStatus);
    default:
      return new OAuthError('server_error', message, httpStatus);
  }
}

/** RFC 6750 section 3.1: a caller without a credential is told of no error. */
function challengeOf({ reason, httpStatus }: WireError): string | undefined {
  if (reason === 'CREDENTIAL_MISSING') return 'Bearer';
  if (httpStatus === UNAUTHORIZED) return 'Bearer error="invalid_token"';
  return httpStatus === FORBIDDEN
    ? 'Bearer error="insufficient_scope", scope="tokens:*:*"'
    : undefined;
}

/** RFC 6749 section 5.2 allows printable ASCII without quotes and backslashes. */
function describe(message: string): string {
  return message.replaceAll(/[^\x20-\x7e]|["\\]/g, "'");
}
