import type { Authenticator } from '../../domain/access/credentials.ts';
import type { RateLimits } from '../../domain/quota/rate-limits.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Tracer } from '../../platform/tracing.ts';
import type { CallInterceptor } from '../call.ts';
import type { CookieGuard } from '../cookie-session/guard.ts';
import { createAuditInterceptors, type AuditLog } from './audit.ts';
import { createAuthenticate } from './authenticate.ts';
import { createAuthorize } from './authorize.ts';
import { deadline } from './deadline.ts';
import { createErrors } from './errors.ts';
import { createLogging } from './logging.ts';
import { createCallMetrics, type CallMetrics } from './metrics.ts';
import { createAddressRateLimit, createCallerRateLimit } from './rate-limit.ts';
import { createStreamGuard } from './stream-guard.ts';
import { createTracing } from './tracing.ts';
import { createValidate } from './validate.ts';

/** What the interceptors need. */
export interface InterceptorParts {
  readonly logger: Logger;
  readonly calls: Omit<CallMetrics, 'clock'>;
  readonly clock: Clock;
  readonly authenticator: Authenticator;
  readonly cookies: CookieGuard;
  readonly audit: AuditLog;
  /** Undefined: calls are not traced. */
  readonly tracer: Tracer | undefined;
  /** How much may be asked. */
  readonly limits: RateLimits;
}

/**
 * Every interceptor, outermost first. Whoever logs sees what all others answer; errors are translated
 * before they are counted; nothing is verified for an address over its limit; a broken credential is
 * refused before its request is looked at. Refusals are noted wherever they come from, actions recorded
 * next to the service.
 */
export function createInterceptors(parts: InterceptorParts): readonly CallInterceptor[] {
  const { logger, calls, clock, authenticator, cookies, limits } = parts;
  const audit = createAuditInterceptors(parts.audit);
  return [
    ...(parts.tracer === undefined ? [] : [createTracing(parts.tracer)]),
    createLogging({ logger, clock }),
    createCallMetrics({ clock, ...calls }),
    createErrors(logger),
    audit.refusals,
    deadline,
    createAddressRateLimit(limits),
    createAuthenticate(authenticator, cookies, limits),
    audit.denials,
    createCallerRateLimit(limits),
    createValidate(),
    createAuthorize(),
    createStreamGuard(authenticator),
    audit.actions,
  ];
}
