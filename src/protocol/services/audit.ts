import { AuditOrder, type AuditService } from '../../../gen/molten/v1/audit_pb.ts';
import type { Audit } from '../../domain/audit/audit.ts';
import type { ServiceImplementation } from '../call.ts';
import { fromAuditResult, toAuditFault, toAuditRecord } from '../mapping/audit.ts';
import { fromTimestamp } from '../mapping/time.ts';

/** Creates the AuditService over the domain. */
export function createAuditService(
  audit: Pick<Audit, 'list' | 'follow' | 'verify'>,
): ServiceImplementation<typeof AuditService> {
  return {
    async listAuditRecords({ startTime, endTime, result, order, ...rest }) {
      const { actor, action, resource, pageSize, pageToken } = rest;
      const { records, nextPageToken } = await audit.list({
        ...{ actor, action, resource, pageSize, pageToken },
        ...{ from: fromTimestamp(startTime), to: fromTimestamp(endTime) },
        result: fromAuditResult(result),
        order: order === AuditOrder.OLDEST_FIRST ? 'oldest' : 'newest',
      });
      return { records: records.map(toAuditRecord), nextPageToken };
    },
    async *streamAuditRecords({ afterNumber }, { signal }) {
      const after = afterNumber === undefined ? undefined : Number(afterNumber);
      for await (const record of audit.follow(after, signal)) {
        yield { record: toAuditRecord(record) };
      }
    },
    async verifyAuditLog({ fromNumber, toNumber }, { signal }) {
      const range = { from: numberIn(fromNumber), to: numberIn(toNumber) };
      const { checked, first, last, lastHash, fault } = await audit.verify(range, signal);
      return {
        ...{ sound: fault === undefined, checkedCount: BigInt(checked), lastHash },
        ...{ firstNumber: BigInt(first), lastNumber: BigInt(last) },
        ...(fault === undefined ? {} : { fault: toAuditFault(fault) }),
      };
    },
  };
}

/** 0 stands for none. */
function numberIn(number: bigint): number | undefined {
  return number === 0n ? undefined : Number(number);
}
