import { OperationState, type Operation } from '../../gen/molten/v1/operations_pb.ts';
import type { MoltenClient } from '../../src/client/client.ts';
import { createProgress } from './progress.ts';

/** Waits for an operation and shows how far it is. Fails when the operation does. */
export async function awaitOperation(
  { operations }: Pick<MoltenClient, 'operations'>,
  started: Operation | undefined,
): Promise<Operation> {
  const progress = createProgress('done', (line) => process.stderr.write(line));
  let current = started;
  while (current?.state === OperationState.RUNNING) {
    const timeout = { seconds: 1n };
    ({ operation: current } = await operations.waitOperation({ operation: current.id, timeout }));
    progress.show(Number(current?.doneCount ?? 0));
  }
  if (current?.state === OperationState.SUCCEEDED) return current;
  const why = current?.error?.message ?? 'it was canceled';
  throw new Error(`operation ${current?.id ?? ''} did not succeed: ${why}`);
}
