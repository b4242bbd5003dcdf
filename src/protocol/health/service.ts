import type { ConnectRouter } from '@connectrpc/connect';

import {
  Health,
  HealthCheckResponse_ServingStatus,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { delay } from '../../platform/timers.ts';
import { toConnectError } from '../mapping/error.ts';

/** Reports whether the server takes reads and writes, as `/readyz` does, and whether it is about to end. */
export interface Serving {
  readonly isReady: () => boolean;
  readonly isStopping: () => boolean;
}

type Statuses = Record<string, { status: HealthCheckResponse_ServingStatus }>;

/** How often a watched state is looked at, in milliseconds. */
const WATCH_INTERVAL_MS = 1000;

/** Registers `grpc.health.v1.Health` (the gRPC health checking protocol) for the named services. */
export function registerHealth(
  router: ConnectRouter,
  { services, serving }: { readonly services: readonly string[]; readonly serving: Serving },
): void {
  const known = new Set(['', ...services]);

  function statusOf(service: string): HealthCheckResponse_ServingStatus {
    if (!known.has(service)) return HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN;
    return serving.isReady()
      ? HealthCheckResponse_ServingStatus.SERVING
      : HealthCheckResponse_ServingStatus.NOT_SERVING;
  }

  router.service(Health, {
    check({ service }) {
      const status = statusOf(service);
      if (status !== HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN) return { status };
      throw toConnectError(
        new DomainError('ROUTE_NOT_FOUND', `there is no service '${service}'`, {
          metadata: { service },
        }),
      );
    },
    list() {
      const statuses = [...known].map((service) => [service, { status: statusOf(service) }]);
      return { statuses: Object.fromEntries(statuses) as Statuses };
    },
    async *watch({ service }, { signal }) {
      let last: HealthCheckResponse_ServingStatus | undefined;
      while (!signal.aborted) {
        // There is nothing more to come: whoever stops does not serve again.
        const isLast = serving.isStopping() && known.has(service);
        const status = statusOf(service);
        if (status !== last) yield { status };
        if (isLast) return;
        last = status;
        await delay(WATCH_INTERVAL_MS, signal);
      }
    },
  });
}
