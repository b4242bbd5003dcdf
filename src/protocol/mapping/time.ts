import { create } from '@bufbuild/protobuf';
import {
  DurationSchema,
  timestampMs,
  TimestampSchema,
  type Duration,
  type Timestamp,
} from '@bufbuild/protobuf/wkt';

const MS_PER_SECOND = 1000;
const NANOS_PER_MS = 1_000_000;

/** A moment in Unix milliseconds as a Timestamp. */
export function toTimestamp(unixMs: number): Timestamp {
  const seconds = Math.floor(unixMs / MS_PER_SECOND);
  const nanos = (unixMs - seconds * MS_PER_SECOND) * NANOS_PER_MS;
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos });
}

/** A Timestamp in Unix milliseconds, undefined stays undefined. */
export function fromTimestamp(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined ? undefined : timestampMs(timestamp);
}

/** A span in milliseconds as a Duration. */
export function toDuration(ms: number): Duration {
  const seconds = Math.trunc(ms / MS_PER_SECOND);
  const nanos = (ms - seconds * MS_PER_SECOND) * NANOS_PER_MS;
  return create(DurationSchema, { seconds: BigInt(seconds), nanos });
}

/** A Duration in milliseconds, rounded down; undefined stays undefined. */
export function fromDuration(duration: Duration): number;
export function fromDuration(duration: Duration | undefined): number | undefined;
export function fromDuration(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  return Number(duration.seconds) * MS_PER_SECOND + Math.floor(duration.nanos / NANOS_PER_MS);
}
