import type { OperationService } from '../../../gen/molten/v1/operations_pb.ts';
import type { Operations } from '../../domain/snapshots/operations.ts';
import { DomainError } from '../../errors/domain-error.ts';
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
      const found = await operations.wait(operation, waitMs, signal);
      // Not an answer: whoever asks again while an operation runs would never stop.
      if (signal.aborted) throw new DomainError('CANCELED', 'the caller went away while it waited');
      return { operation: toOperation(found) };
    },
    async cancelOperation({ operation }) {
      return { operation: toOperation(operations.cancel(operation)) };
    },
  };
}
