/** Errors in the words of Aegis: `{"error": …}`, and `null` for whoever shows no valid session. */
import { isAboutCredential } from '../../../errors/reason.ts';
import { toWireError } from '../../mapping/error.ts';
import { RouteRefusal, type Answer } from '../routes.ts';

/** The answer to whatever a route failed with. */
export function refuse(error: unknown): Answer {
  if (error instanceof RouteRefusal)
    return { status: error.status, body: { error: error.message } };
  const { reason, message, httpStatus } = toWireError(error);
  if (isAboutCredential(reason)) return { status: 401, body: null };
  const text = reason === 'RATE_LIMITED' ? 'Too many requests' : message;
  return { status: httpStatus, body: { error: text } };
}
