import { DomainError } from '../errors/domain-error.ts';
import { createGate, type Gate } from '../platform/gate.ts';

/** How far down a chain of causes one looks. */
const CAUSES_MAX = 6;
const CAUSE_CHARS_MAX = 500;
/** Sign-ins that talk to one provider at once. */
const RUNNING_MAX = 16;
/** Sign-ins that may wait for it, so that a slow provider cannot fill the memory. */
const WAITING_MAX = 64;
const RETRY_AFTER_MS = 1000;

/** Creates the gate of one provider. RATE_LIMITED when too many wait, CANCELED on abort while waiting. */
export function createProviderGate(): Gate {
  return createGate({ runningMax: RUNNING_MAX, waitingMax: WAITING_MAX, tooMany });
}

/** PROVIDER_UNAVAILABLE: `problem` completes the sentence «the identity provider 'x' …». */
export function unavailable(provider: string, problem: string, cause?: unknown): DomainError {
  return new DomainError(
    'PROVIDER_UNAVAILABLE',
    `the identity provider '${provider}' ${problem}`,
    withCause({ provider }, cause),
  );
}

/** CREDENTIAL_INVALID, with one message for whatever was wrong: that is its forger's business. */
export function refused(provider: string, cause?: unknown): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    'the sign-in was not accepted; start it again',
    withCause({ provider }, cause),
  );
}

/** ARGUMENT_INVALID: a provider that cannot be configured so. */
export function misconfigured(provider: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `the identity provider '${provider}' ${problem}`, {
    metadata: { provider },
  });
}

/** CANCELED: the caller no longer waits for the sign-in. */
export function canceled(): DomainError {
  return new DomainError('CANCELED', 'the sign-in was canceled');
}

function tooMany(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many sign-ins at once; try again in a second', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** An error and what led to it, outermost first. */
export function causesOf(error: unknown): readonly unknown[] {
  const found: unknown[] = [];
  let next: unknown = error;
  while (next !== undefined && next !== null && found.length < CAUSES_MAX) {
    found.push(next);
    next = next instanceof Error ? next.cause : undefined;
  }
  return found;
}

function withCause(
  metadata: Readonly<Record<string, string>>,
  cause: unknown,
): { metadata: Readonly<Record<string, string>>; cause?: Error } {
  return cause === undefined ? { metadata } : { metadata, cause: plainCause(cause) };
}

/**
 * The words of a foreign error without what hangs on it: libraries attach whole answers, and those hold
 * tokens, which must not reach a log.
 */
function plainCause(error: unknown): Error {
  const words = causesOf(error)
    .filter((one) => one instanceof Error)
    .map((one) => [one.message, ...detailsOf(one)].join(' '));
  return new Error(words.join(': ').slice(0, CAUSE_CHARS_MAX));
}

/** The error codes of Node and of OAuth (RFC 6749, section 5.2). */
function detailsOf(error: Error): string[] {
  const { code, error: name, error_description: description } = error as Partial<OAuthError>;
  return [code, name, description]
    .filter((one) => typeof one === 'string' || typeof one === 'number')
    .map((one) => `(${one})`);
}

interface OAuthError extends Error {
  readonly code: string | number;
  readonly error: string;
  readonly error_description: string;
}
