import type { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import type { Watches } from '../../domain/watch/watches.ts';
import type { ServiceImplementation } from '../call.ts';
import { fromWatchRequest, toWatchResponse } from '../mapping/watch.ts';

/** Creates the WatchService over the domain. */
export function createWatchService(
  watches: Pick<Watches, 'open'>,
): ServiceImplementation<typeof WatchService> {
  return {
    async *watch(request, { principal, signal, origin }) {
      const disconnect = (): void => {
        origin.disconnect();
      };
      const context = { principal, signal, disconnect };
      for await (const event of watches.open(context, fromWatchRequest(request))) {
        yield toWatchResponse(event, request.encoding);
      }
    },
  };
}
