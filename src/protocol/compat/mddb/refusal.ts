/** Errors in the words of MDDB: `{"error": …}`. */
import { isAboutCredential, type Reason } from '../../../errors/reason.ts';
import type { FastifyRequest } from '../../http/door.ts';
import { toWireError, type WireError } from '../../mapping/error.ts';
import { RouteRefusal, type Answer, type CompatRoute } from '../routes.ts';

/** The answer to whatever a route failed with. */
export function refuse(
  error: unknown,
  request: FastifyRequest,
  route: CompatRoute | undefined,
): Answer {
  if (error instanceof RouteRefusal) return answer(error.status, error.message);
  const wire = toWireError(error);
  if (isAboutCredential(wire.reason)) return answer(401, credentialText(request, wire));
  if (wire.reason === 'SCOPE_MISSING') {
    const isForAdministrators = route?.isFor === 'administrators';
    return answer(403, isForAdministrators ? 'admin access required' : 'forbidden');
  }
  return answer(STATUSES[wire.reason] ?? wire.httpStatus, wordsOf(wire));
}

function answer(status: number, error: string): Answer {
  return { status, body: { error } };
}

/** What kind of credential it was that is not valid. */
function credentialText({ headers }: FastifyRequest, { reason, message }: WireError): string {
  const hasShown = headers.authorization !== undefined || headers['x-api-key'] !== undefined;
  // It was a cookie, of which the original knows nothing.
  if (!hasShown && reason !== 'CREDENTIAL_MISSING') return message;
  const bearer = /^bearer +(\S*)/i.exec(headers.authorization ?? '')?.[1] ?? '';
  const isKey = bearer.startsWith('mk_') || bearer.startsWith('mddb_live_');
  if (bearer !== '' && !isKey) return 'invalid token';
  return isKey || headers['x-api-key'] !== undefined ? 'invalid api key' : 'missing authentication';
}

function wordsOf({ reason, message }: WireError): string {
  return TEXTS[reason] ?? message;
}

const STATUSES: Partial<Record<Reason, number>> = {
  LAST_ADMINISTRATOR: 409,
  SETUP_REQUIRED: 503,
};

const TEXTS: Partial<Record<Reason, string>> = {
  USER_EXISTS: 'user already exists',
  USER_NOT_FOUND: 'user not found',
  ROLE_EXISTS: 'group already exists',
  ROLE_NOT_FOUND: 'group not found',
  API_KEY_NOT_FOUND: 'api key not found',
  RATE_LIMITED: 'rate limit exceeded',
};
