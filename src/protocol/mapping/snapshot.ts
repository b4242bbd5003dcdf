import { create } from '@bufbuild/protobuf';
import { anyPack, timestampMs } from '@bufbuild/protobuf/wkt';

import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import {
  OperationSchema,
  OperationState,
  type Operation as OperationMessage,
} from '../../../gen/molten/v1/operations_pb.ts';
import {
  CollectionDifferenceSchema,
  SnapshotCause,
  SnapshotSchema,
  type CollectionDifference as DifferenceMessage,
  type PastPoint as PointMessage,
  type Snapshot,
} from '../../../gen/molten/v1/snapshots_pb.ts';
import { toSequence } from '../../domain/documents/model.ts';
import type { Manifest } from '../../domain/snapshots/manifest.ts';
import type { Operation } from '../../domain/snapshots/operations.ts';
import type { CollectionDifference, PastPoint } from '../../domain/snapshots/restores.ts';
import { toConnectError } from './error.ts';
import { toDuration, toTimestamp } from './time.ts';

const STATES = {
  running: OperationState.RUNNING,
  succeeded: OperationState.SUCCEEDED,
  failed: OperationState.FAILED,
  canceled: OperationState.CANCELED,
} satisfies Record<Operation['state'], OperationState>;

/** An operation as callers see it. */
export function toOperation(operation: Operation): OperationMessage {
  const { id, kind, subject, state, progress, startedAtMs, endedAtMs, error } = operation;
  return create(OperationSchema, {
    ...{ id, kind, subject, state: STATES[state], phase: progress.phase },
    doneCount: BigInt(progress.done),
    ...(progress.total === undefined ? {} : { totalCount: BigInt(progress.total) }),
    startTime: toTimestamp(startedAtMs),
    ...(endedAtMs === undefined ? {} : { endTime: toTimestamp(endedAtMs) }),
    ...(error === undefined || state !== 'failed' ? {} : { error: toStatus(error) }),
  });
}

function toStatus(error: unknown): OperationMessage['error'] {
  const { code, rawMessage: message, details } = toConnectError(error);
  const packed = details.flatMap((detail) =>
    'desc' in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : [],
  );
  return create(StatusSchema, { code, message, details: packed });
}

/** A snapshot as callers see it. */
export function toSnapshot(manifest: Manifest): Snapshot {
  const { name, sequence, epoch, release, isEncrypted: encrypted, files, hook } = manifest;
  return create(SnapshotSchema, {
    ...{ name, sequence, epoch, release, encrypted },
    commitTime: toTimestamp(manifest.timestampMs),
    createTime: toTimestamp(manifest.createdAtMs),
    cause: manifest.cause === 'schedule' ? SnapshotCause.SCHEDULE : SnapshotCause.REQUEST,
    collectionCount: BigInt(manifest.collections),
    documentCount: BigInt(manifest.documents),
    sizeBytes: BigInt(files.reduce((sum, { bytes }) => sum + bytes, 0)),
    files: files.map((file) => ({
      ...{ name: file.name, sizeBytes: BigInt(file.bytes), sha256: file.sha256 },
    })),
    ...(hook && { hook: toHook(hook) }),
  });
}

function toHook(hook: NonNullable<Manifest['hook']>): {
  command: string;
  exitCode?: number;
  timedOut: boolean;
  duration: ReturnType<typeof toDuration>;
  problem: string;
} {
  const { command, exitCode, timedOut, durationMs, problem } = hook;
  return {
    ...{ command, timedOut, problem, duration: toDuration(durationMs) },
    ...(exitCode === undefined ? {} : { exitCode }),
  };
}

/** A point of the past; the contract demands one. */
export function fromPoint(message: PointMessage | undefined): PastPoint {
  const point = message?.point;
  return point?.case === 'time'
    ? { kind: 'time', timestampMs: timestampMs(point.value) }
    : { kind: 'sequence', sequence: toSequence(point?.value ?? 0n) };
}

/** A difference as callers see it. */
export function toDifference(difference: CollectionDifference): DifferenceMessage {
  const { collection, existed, exists, removed, added, changed, sampleKeys } = difference;
  return create(CollectionDifferenceSchema, {
    ...{ collection, existed, exists, sampleKeys: [...sampleKeys] },
    removedCount: BigInt(removed),
    addedCount: BigInt(added),
    changedCount: BigInt(changed),
  });
}
