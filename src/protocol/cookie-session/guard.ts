/**
 * Sessions of browsers: the token of a sign-in travels in a cookie that no script can read. A browser
 * sends cookies along whoever asks it to, so what comes with one must also come from a page of ours, and
 * what changes anything must show that the page could read our answer. All of it happens where callers
 * are authenticated, so that it holds for every protocol.
 */
import { getOption, hasOption, type DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';

import { scope, ScopeTarget } from '../../../gen/molten/v1/options_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import type { Principal } from '../../domain/access/principal.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { Call } from '../call.ts';
import { findCookie } from './cookies.ts';
import { CSRF_HEADER, type CsrfTokens } from './csrf.ts';
import { demandOwnPage } from './own-page.ts';

/** Looks at what comes with a cookie. */
export interface CookieGuard {
  /**
   * The token in the cookie of a call; undefined when there is none, and for what is public anyway, so
   * that a session that has ended keeps nobody from signing in. CREDENTIAL_INVALID from another site.
   */
  tokenOf(call: Call): string | undefined;
  /** CREDENTIAL_INVALID unless the call may be made by this principal with a cookie. */
  demand(call: Call, principal: Principal): void;
}

/** What the guard needs. */
export interface CookieGuardOptions {
  readonly csrf: CsrfTokens;
  /** The server itself speaks TLS: cookies set without it are not taken. */
  readonly needsTls: boolean;
  /** Other origins whose pages may call; `*` counts for nothing. */
  readonly corsOrigins: () => readonly string[];
}

/** Creates the guard of a server. */
export function createCookieGuard(options: CookieGuardOptions): CookieGuard {
  const { csrf, needsTls } = options;
  const isPublic = rememberPublic();
  return {
    tokenOf({ method, origin }) {
      const header = origin.header('cookie');
      if (header === undefined || isPublic(method)) return undefined;
      const found = findCookie(header, 'session', { needsTls });
      if (found === undefined) return undefined;
      // Every page is too many where a cookie is at stake.
      const allowed = options.corsOrigins().filter((one) => one !== '*');
      demandOwnPage(origin, { isSecure: found.isSecure, allowed });
      return found.value;
    },
    demand({ method, origin }, { credential }) {
      const sessionId = credential?.chain.sessionId ?? '';
      if (credential?.kind !== 'session' || sessionId === '') throw notOfSession();
      if (isSafe(method) || csrf.matches(sessionId, origin.header(CSRF_HEADER))) return;
      throw withoutToken();
    },
  };
}

/** Options are read from their bytes each time, so each method is asked once. */
function rememberPublic(): (method: DescMethod) => boolean {
  const known = new Map<DescMethod, boolean>();
  return (method) => {
    const found =
      known.get(method) ??
      (hasOption(method, scope) && getOption(method, scope).target === ScopeTarget.PUBLIC);
    known.set(method, found);
    return found;
  };
}

/** Changes nothing. A watch does not either; `EventSource` and `WebSocket` can send no header. */
function isSafe(method: DescMethod): boolean {
  const { NO_SIDE_EFFECTS } = MethodOptions_IdempotencyLevel;
  return method.idempotency === NO_SIDE_EFFECTS || method === WatchService.method.watch;
}

function notOfSession(): DomainError {
  return new DomainError('CREDENTIAL_INVALID', 'the session cookie holds no token of a sign-in');
}

function withoutToken(): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    `what changes anything needs the header ${CSRF_HEADER} with the csrfToken of GET /session when the session cookie is used`,
  );
}
