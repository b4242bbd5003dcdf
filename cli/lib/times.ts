import { create } from '@bufbuild/protobuf';
import {
  DurationSchema,
  timestampDate,
  type Duration,
  type Timestamp,
} from '@bufbuild/protobuf/wkt';

/** A moment as RFC 3339; undefined stays. */
export function isoOf(time: Timestamp | undefined): string | undefined {
  return time && timestampDate(time).toISOString();
}

/** A flag of whole seconds as a duration; none when the flag is not given. */
export function durationOf(seconds: unknown): Duration | undefined {
  if (typeof seconds !== 'number') return undefined;
  return create(DurationSchema, { seconds: BigInt(seconds) });
}
