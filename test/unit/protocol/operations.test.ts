import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import {
  OperationState,
  WaitOperationRequestSchema,
} from '../../../gen/molten/v1/operations_pb.ts';
import { createOperations } from '../../../src/domain/snapshots/operations.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createIdSource } from '../../../src/platform/ids.ts';
import type { CallContext } from '../../../src/protocol/call.ts';
import { createOperationService } from '../../../src/protocol/services/operations.ts';

describe('waiting for an operation', () => {
  it('is canceled when its caller goes away, and is no answer that says: still running', async () => {
    await using operations = createOperations({
      ...{ clock: systemClock, ids: createIdSource(systemClock), onFailure: () => undefined },
    });
    let finish: () => void = () => undefined;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const { id: operation, result } = operations.start('snapshot', 'a', () => work);
    const service = createOperationService(operations);
    const gone = new AbortController();
    const wait = async (): Promise<unknown> =>
      await service.waitOperation(create(WaitOperationRequestSchema, { operation }), {
        signal: gone.signal,
      } as CallContext);
    const waiting = wait();
    gone.abort();
    await expect(waiting).rejects.toMatchObject({ reason: 'CANCELED' });
    await expect(wait()).rejects.toMatchObject({ reason: 'CANCELED' });
    finish();
    await result;
    const found = await service.getOperation({ operation } as never, {} as CallContext);
    expect(found.operation?.state).toBe(OperationState.SUCCEEDED);
  });
});
