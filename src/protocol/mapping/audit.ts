import { create } from '@bufbuild/protobuf';

import {
  AuditFaultKind as FaultKindMessage,
  AuditRecordSchema,
  AuditResult as ResultMessage,
  type AuditFault as FaultMessage,
  type AuditRecord as RecordMessage,
} from '../../../gen/molten/v1/audit_pb.ts';
import type { AuditRecord, AuditResult } from '../../domain/audit/record.ts';
import type { AuditFault, AuditFaultKind } from '../../domain/audit/verify.ts';
import { toTimestamp } from './time.ts';

const RESULTS = {
  success: ResultMessage.SUCCESS,
  denied: ResultMessage.DENIED,
  failure: ResultMessage.FAILURE,
} satisfies Record<AuditResult, ResultMessage>;

const FAULT_KINDS = {
  missing: FaultKindMessage.MISSING,
  malformed: FaultKindMessage.MALFORMED,
  wrongHash: FaultKindMessage.WRONG_HASH,
  wrongPreviousHash: FaultKindMessage.WRONG_PREVIOUS_HASH,
  extra: FaultKindMessage.EXTRA,
  wrongEnds: FaultKindMessage.WRONG_ENDS,
} satisfies Record<AuditFaultKind, FaultKindMessage>;

/** A record in the words of the wire. */
export function toAuditRecord(record: AuditRecord): RecordMessage {
  const { number, time, result, details, ...texts } = record;
  return create(AuditRecordSchema, {
    ...texts,
    ...{ number: BigInt(number), time: toTimestamp(time), result: RESULTS[result] },
    details: { ...details },
  });
}

const FROM_RESULTS: ReadonlyMap<ResultMessage, AuditResult> = new Map([
  [ResultMessage.SUCCESS, 'success'],
  [ResultMessage.DENIED, 'denied'],
  [ResultMessage.FAILURE, 'failure'],
]);

/** A result in the words of the domain; undefined: every result is wanted. */
export function fromAuditResult(result: ResultMessage): AuditResult | undefined {
  return FROM_RESULTS.get(result);
}

/** A fault in the words of the wire. */
export function toAuditFault({
  number,
  kind,
  message,
}: AuditFault): Omit<FaultMessage, '$typeName'> {
  return { number: BigInt(number), kind: FAULT_KINDS[kind], message };
}
