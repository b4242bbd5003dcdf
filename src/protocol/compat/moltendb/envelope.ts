/** Errors as MoltenDB 1.0 words them: `{"error", "statusCode"}`, without a status where it had none. */
import { isAboutCredential, type Reason } from '../../../errors/reason.ts';
import type { FastifyReply, FastifyRequest } from '../../http/door.ts';
import { setRetryAfter } from '../../http/retry-after.ts';
import { HttpRefusal } from '../../http/refusal.ts';
import { toWireError, type WireError } from '../../mapping/error.ts';
import { PlainRefusal, Refusal } from './refusal.ts';

/** An answer that says no. */
export interface Envelope {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What a route says when the token does not cover it. */
export type ForbiddenText = (missing: {
  readonly action: string;
  readonly collection: string;
  readonly key: string;
}) => string;

const MS_PER_SECOND = 1000;

/** The envelope of whatever a call failed with. */
function toEnvelope(
  error: unknown,
  request: FastifyRequest,
  forbidden: ForbiddenText = lacksScope,
): Envelope {
  if (error instanceof PlainRefusal)
    return { status: error.status, body: { error: error.message } };
  if (error instanceof Refusal || error instanceof HttpRefusal) {
    return { status: error.status, body: { error: error.message, statusCode: error.status } };
  }
  const wire = toWireError(error);
  return (
    credentialEnvelope(wire, request) ??
    limitEnvelope(wire) ??
    (wire.reason === 'SCOPE_MISSING'
      ? { status: 403, body: { error: forbiddenText(wire, forbidden) } }
      : otherEnvelope(wire))
  );
}

/** Answers with the envelope of an error. */
export async function sendRefusal(
  reply: FastifyReply,
  error: unknown,
  { request, forbidden }: { readonly request: FastifyRequest; readonly forbidden?: ForbiddenText },
): Promise<FastifyReply> {
  if (!(error instanceof Refusal || error instanceof PlainRefusal))
    setRetryAfter(reply, toWireError(error));
  return await sendEnvelope(reply, toEnvelope(error, request, forbidden));
}

/** Sends an envelope. */
export async function sendEnvelope(
  reply: FastifyReply,
  { status, body }: Envelope,
): Promise<FastifyReply> {
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  return await reply.code(status).type('application/json').send(JSON.stringify(body));
}

function lacksScope({ action, collection, key }: Parameters<ForbiddenText>[0]): string {
  return `Forbidden: token requires '${action}:${collection}:${key}' scope`;
}

function forbiddenText({ metadata, message }: WireError, forbidden: ForbiddenText): string {
  const { action, collection, key = '*' } = metadata;
  if (action === undefined || collection === undefined) return message;
  return forbidden({ action, collection, key });
}

function credentialEnvelope(
  { reason, message }: WireError,
  { headers }: FastifyRequest,
): Envelope | undefined {
  if (!isAboutCredential(reason)) return undefined;
  const hasShown = headers.authorization !== undefined || headers['x-api-key'] !== undefined;
  // It was a cookie, of which the original knows nothing.
  if (!hasShown && reason !== 'CREDENTIAL_MISSING') {
    return { status: 401, body: { error: message } };
  }
  const hasBearer = (headers.authorization ?? '').startsWith('Bearer ');
  const error = hasBearer ? CREDENTIALS[reason] : 'Missing or invalid Authorization header';
  return { status: 401, body: { error: error ?? 'Invalid or expired token' } };
}

const CREDENTIALS: Partial<Record<Reason, string>> = {
  CREDENTIAL_MISSING: 'Missing or invalid Authorization header',
  CREDENTIAL_REVOKED: 'Token has been revoked',
};

function limitEnvelope({ reason, metadata, retryAfterMs }: WireError): Envelope | undefined {
  if (reason !== 'RATE_LIMITED') return undefined;
  const seconds = Math.ceil((retryAfterMs ?? MS_PER_SECOND) / MS_PER_SECOND);
  const limit = Number(metadata['limit'] ?? 0);
  return {
    status: 429,
    body: { error: 'Rate limit exceeded', limit, retry_after_seconds: seconds },
  };
}

function otherEnvelope({ reason, message, httpStatus }: WireError): Envelope {
  const status = STATUSES[reason] ?? httpStatus;
  const error = TEXTS[reason]?.(message) ?? message;
  return { status, body: { error, statusCode: status } };
}

const STATUSES: Partial<Record<Reason, number>> = {
  STORAGE_FULL: 503,
  READ_ONLY: 503,
  DOCUMENT_TOO_LARGE: 413,
};

const fault = (message: string): string => `Service unavailable -- storage fault: ${message}`;

const TEXTS: Partial<Record<Reason, (message: string) => string>> = {
  VERSION_MISMATCH: () => 'Conflict: Document version is outdated',
  SCHEMA_INVALID: (message) => `Invalid Schema: ${message}`,
  COLLECTION_NOT_FOUND: () => 'Collection not found',
  DOCUMENT_NOT_FOUND: () => 'No documents found',
  STORAGE_FULL: fault,
  READ_ONLY: fault,
  ENGINE_UNAVAILABLE: fault,
};
