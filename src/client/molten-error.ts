import { Code, ConnectError } from '@connectrpc/connect';
import { codeToString } from '@connectrpc/connect/protocol-connect';

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import type { FieldViolation } from '../errors/domain-error.ts';
import { REASONS, type Reason } from '../errors/reason.ts';

export type { Reason } from '../errors/reason.ts';

/**
 * A failed call. Branch on `reason`; the message may get clearer from release to release. `INTERNAL`
 * stands for servers that answer without a reason, such as a proxy in between, and `ENGINE_UNAVAILABLE`
 * also for a connection that was refused, or closed before its answer: what was asked may have been done.
 */
export class MoltenError extends Error {
  override readonly name = 'MoltenError';
  readonly reason: Reason;
  /** Connect's name of the code, such as `not_found`. */
  readonly code: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  /** How long to wait before another attempt; undefined when the server did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(cause: ConnectError) {
    const [info] = cause.findDetails(ErrorInfoSchema);
    const isBroken = info === undefined && isBrokenConnection(cause);
    super(isBroken ? `${cause.rawMessage}: ${BROKEN_HINT}` : cause.rawMessage, { cause });
    const [bad] = cause.findDetails(BadRequestSchema);
    const delay = cause.findDetails(RetryInfoSchema)[0]?.retryDelay;
    this.reason = REASONS.find((one) => one === info?.reason) ?? reasonOf(cause.code, isBroken);
    this.code = codeToString(cause.code);
    this.metadata = info?.metadata ?? {};
    this.violations =
      bad?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [];
    this.retryAfterMs =
      delay === undefined ? undefined : Number(delay.seconds) * 1000 + delay.nanos / 1_000_000;
  }
}

/** Turns whatever a call failed with into a MoltenError. */
export function toMoltenError(error: unknown): MoltenError {
  return error instanceof MoltenError ? error : new MoltenError(ConnectError.from(error));
}

/** What Node says of a connection that was not made, or that ended before its answer. */
const BROKEN: readonly string[] = [
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'],
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
];
const BROKEN_HINT =
  'no answer came on this connection; the server is not there, or it closes connections beyond --max-connections and --max-connections-per-address, or it asks for a certificate, which MOLTEN_CLIENT_CERT and MOLTEN_CLIENT_KEY name';

function isBrokenConnection(error: ConnectError): boolean {
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause) {
    if ('code' in at && BROKEN.includes(String(at.code))) return true;
  }
  return false;
}

/** Failures that happened before the server could say anything. */
function reasonOf(code: Code, isBroken: boolean): Reason {
  if (isBroken) return 'ENGINE_UNAVAILABLE';
  switch (code) {
    case Code.Unavailable:
      return 'ENGINE_UNAVAILABLE';
    case Code.DeadlineExceeded:
      return 'DEADLINE_EXCEEDED';
    case Code.Canceled:
      return 'CANCELED';
    default:
      return 'INTERNAL';
  }
}
