/** Errors in the words of Aegis: `{"error": …}`, and `null` for whoever shows no valid session. */
import type { FastifyRequest } from '../../http/door.ts';
import { toWireError } from '../../mapping/error.ts';
import { RouteRefusal, type Answer } from '../routes.ts';

/** The answer to whatever a route failed with. */
export function refuse(error: unknown, _request: FastifyRequest): Answer {
  if (error instanceof RouteRefusal)
    return { status: error.status, body: { error: error.message } };
  const { reason, message, httpStatus } = toWireError(error);
  if (reason.startsWith('CREDENTIAL_')) return { status: 401, body: null };
  const text = reason === 'RATE_LIMITED' ? 'Too many requests' : message;
  return { status: httpStatus, body: { error: text } };
}
