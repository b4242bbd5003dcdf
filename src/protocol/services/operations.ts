import type { OperationService } from '../../../gen/molten/v1/operations_pb.ts';
import type { Operations } from '../../domain/snapshots/operations.ts';
import type { ServiceImplementation } from '../call.ts';
import { toOperation } from '../mapping/snapshot.ts';
import { fromDuration } from '../mapping/time.ts';

const WAIT_MS = 60_000;

/** Creates the OperationService over the domain. */
export function createOperationService(
  operations: Operations,
): ServiceImplementation<typeof OperationService> {
  return {
    async getOperation({ operation }) {
      return { operation: toOperation(operations.get(operation)) };
    },
    async listOperations() {
      return { operations: operations.list().map(toOperation) };
    },
    async waitOperation({ operation, timeout }, { signal }) {
      const waitMs = fromDuration(timeout) ?? WAIT_MS;
      return { operation: toOperation(await operations.wait(operation, waitMs, signal)) };
    },
    async cancelOperation({ operation }) {
      return { operation: toOperation(operations.cancel(operation)) };
    },
  };
}
