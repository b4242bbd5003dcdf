import type { GetQueryLimitsResponse, QueryLimits } from '../../gen/molten/v1/admin_pb.ts';
import type { Row } from './table.ts';

/** Each bound by the flag that changes it, with what holds and what the most could be. */
export function toQueryLimitRows({
  limits,
  ceiling,
}: Pick<GetQueryLimitsResponse, 'limits' | 'ceiling'>): readonly Row[] {
  const bounds: readonly (readonly [string, string, keyof QueryLimits])[] = [
    ['rows', 'documents', 'rowsMax'],
    ['time', 'ms', 'timeMsMax'],
    ['scan', 'documents', 'examinedMax'],
    ['memory', 'bytes', 'memoryBytesMax'],
  ];
  return bounds.map(([limit, unit, name]) => ({
    ...{ limit, unit, now: Number(limits?.[name] ?? 0), ceiling: Number(ceiling?.[name] ?? 0) },
  }));
}
