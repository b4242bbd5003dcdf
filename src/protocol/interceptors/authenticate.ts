import type { Authenticator } from '../../domain/access/credentials.ts';
import { withPrincipal, type CallInterceptor } from '../call.ts';

/** Finds out who calls, by the `authorization` or `x-api-key` header of whatever protocol. */
export function createAuthenticate(authenticator: Authenticator): CallInterceptor {
  return (next) => async (call) => {
    const { origin } = call;
    const authorization = origin.header('authorization');
    const apiKey = origin.header('x-api-key');
    const principal = await authenticator.authenticate({ authorization, apiKey });
    return await next(withPrincipal(call, principal));
  };
}
