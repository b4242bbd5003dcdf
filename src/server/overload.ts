import { performance } from 'node:perf_hooks';

import { ADMISSION_LOOK_MS, createAdmission, type Admission } from '../domain/node/admission.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disposer } from '../platform/disposal.ts';
import type { Logger } from '../platform/logger.ts';
import { every } from '../platform/timers.ts';

/** What admission is opened with. */
export interface AdmissionParts {
  readonly loopDelayMaxMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rooms: Disposer;
}

/** Starts to look at the event loop. The log tells when calls begin to be turned away, and when that ends. */
export function openAdmission({
  loopDelayMaxMs: targetMs,
  clock,
  logger,
  rooms,
}: AdmissionParts): Admission {
  const admission = createAdmission({
    targetMs,
    onChange(refused) {
      if (refused === undefined) logger.warn('calls are turned away: the event loop is late');
      else logger.warn('calls are taken again', { turnedAway: refused });
    },
  });
  let lastMs = clock.monotonic();
  let { idle: lastIdleMs } = performance.eventLoopUtilization();
  const stop = every(ADMISSION_LOOK_MS, () => {
    const nowMs = clock.monotonic();
    const { idle: idleMs } = performance.eventLoopUtilization();
    admission.look(nowMs - lastMs, idleMs - lastIdleMs);
    lastMs = nowMs;
    lastIdleMs = idleMs;
  });
  rooms.defer(stop);
  return admission;
}
