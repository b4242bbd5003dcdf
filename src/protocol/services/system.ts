import { ServingState, type SystemService } from '../../../gen/molten/v1/system_pb.ts';
import type { Node, NodeState } from '../../domain/node/node.ts';
import type { Operations } from '../../domain/snapshots/operations.ts';
import type { ServiceImplementation } from '../call.ts';
import { toOperation } from '../mapping/snapshot.ts';
import { toDuration, toTimestamp } from '../mapping/time.ts';

const STATES = {
  ready: ServingState.READY,
  readOnly: ServingState.READ_ONLY,
  stopping: ServingState.STOPPING,
} satisfies Record<NodeState, ServingState>;

/** Creates the SystemService over the domain. */
export function createSystemService(
  node: Node,
  operations: Pick<Operations, 'get'>,
): ServiceImplementation<typeof SystemService> {
  return {
    async getHealth() {
      return { state: STATES[node.state()] };
    },
    async getStatus() {
      const status = await node.status();
      return {
        release: status.release,
        state: STATES[status.state],
        startTime: toTimestamp(status.startedAtMs),
        ...{ sequence: status.sequence, durableSequence: status.durableSequence },
        collectionCount: BigInt(status.collections),
        documentCount: BigInt(status.documents),
        storedBytes: BigInt(status.storedBytes),
        residentBytes: BigInt(status.residentBytes),
        ...{ encrypted: status.isEncrypted, writeMode: status.writeMode, runtime: status.runtime },
        shared: status.isShared,
        ...(status.storeLagMs === undefined ? {} : { storeLag: toDuration(status.storeLagMs) }),
      };
    },
    async rotateDataKey() {
      return { operation: toOperation(operations.get(node.rotateDataKey())) };
    },
    async flush() {
      return { durableSequence: await node.flush() };
    },
  };
}
