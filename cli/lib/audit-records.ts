import { AuditResultSchema, type AuditRecord } from '../../gen/molten/v1/audit_pb.ts';
import type { Row } from './table.ts';
import { isoOf } from './times.ts';

/** A record as people and scripts read it: numbers and times as such, empty texts left out. */
export function toAuditRow(record: AuditRecord): Row {
  const { number, time, result, details, $typeName: _name, $unknown: _unknown, ...texts } = record;
  const { actor, action, resource, reason, address, ...rest } = texts;
  const present = Object.entries({
    actor,
    action,
    resource,
    result: wordOf(result),
    reason,
    address,
  });
  return {
    ...{ number: Number(number), time: isoOf(time) },
    ...Object.fromEntries(present.filter(([, text]) => text !== '')),
    ...(Object.keys(details).length === 0 ? {} : { details }),
    ...Object.fromEntries(Object.entries(rest).filter(([, text]) => text !== '')),
  };
}

function wordOf(result: AuditRecord['result']): string {
  return AuditResultSchema.value[result]?.localName.toLowerCase() ?? 'unknown';
}
