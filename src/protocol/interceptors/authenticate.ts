import type { Authenticator } from '../../domain/access/access.ts';
import { withPrincipal, type CallInterceptor } from '../call.ts';

/** Finds out who calls, by the `authorization` header of whatever protocol. */
export function createAuthenticate(authenticator: Authenticator): CallInterceptor {
  return (next) => async (call) => {
    const principal = await authenticator.authenticate(call.origin.header('authorization'));
    return await next(withPrincipal(call, principal));
  };
}
