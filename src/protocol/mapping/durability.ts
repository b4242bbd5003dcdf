import { create } from '@bufbuild/protobuf';

import {
  CommitSchema,
  Durability as DurabilityMessage,
  type Commit,
} from '../../../gen/molten/v1/documents_pb.ts';
import type { Committed, Durability } from '../../domain/documents/model.ts';
import { toTimestamp } from './time.ts';

/** The durability asked for; the server's own when none is. */
export function fromDurability(asked: DurabilityMessage, fallback: Durability): Durability {
  switch (asked) {
    case DurabilityMessage.SYNC:
      return 'sync';
    case DurabilityMessage.ASYNC:
      return 'async';
    default:
      return fallback;
  }
}

/** A commit as callers see it. */
export function toCommit(commit: Omit<Committed<unknown>, 'value' | 'writes'>): Commit {
  return create(CommitSchema, {
    sequence: commit.sequence,
    commitTime: toTimestamp(commit.timestampMs),
    durability: commit.durability === 'sync' ? DurabilityMessage.SYNC : DurabilityMessage.ASYNC,
    replayed: commit.replayed,
  });
}
