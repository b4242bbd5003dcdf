import type { ConnectRouter } from '@connectrpc/connect';

import {
  Health,
  HealthCheckResponse_ServingStatus,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { originOf } from '../connect/origin.ts';
import { toConnectError } from '../mapping/error.ts';
import { createWatchers } from './watchers.ts';

/** Reports whether the server takes reads and writes, as `/readyz` does, and whether it closes by now. */
export interface Serving {
  readonly isReady: () => boolean;
  readonly isEnding: () => boolean;
}

/** What is registered for whom. */
export interface HealthParts {
  readonly services: readonly string[];
  readonly serving: Serving;
  /** Whose calls are those of many. */
  readonly isProxy: (address: string) => boolean;
}

type Statuses = Record<string, { status: HealthCheckResponse_ServingStatus }>;

/** Registers `grpc.health.v1.Health` (the gRPC health checking protocol) for the named services. */
export function registerHealth(
  router: ConnectRouter,
  { services, serving, isProxy }: HealthParts,
): void {
  const known = new Set(['', ...services]);
  const watchers = createWatchers(isProxy);

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
    async *watch({ service }, context) {
      const { signal } = context;
      enter(originOf(context).address, signal);
      let last: HealthCheckResponse_ServingStatus | undefined;
      // Not before it closes: who is sent away while calls are taken comes again at once.
      const isLast = (): boolean => serving.isEnding() && known.has(service);
      while (!signal.aborted) {
        const ends = isLast();
        const status = statusOf(service);
        if (status !== last) yield { status };
        if (ends) return;
        last = status;
        await watchers.until(() => isLast() || statusOf(service) !== last, signal);
      }
    },
  });

  function enter(address: string, signal: AbortSignal): void {
    try {
      watchers.enter(address, signal);
    } catch (error) {
      throw toConnectError(error);
    }
  }
}
