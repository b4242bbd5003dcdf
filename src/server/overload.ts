import { performance } from 'node:perf_hooks';

import { ADMISSION_LOOK_MS, createAdmission, type Admission } from '../domain/node/admission.ts';
import type { DomainError } from '../errors/domain-error.ts';
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

/** An admission that is told of the event loop. */
export type OpenAdmission = Omit<Admission, 'look' | 'lookAhead'>;

/** Starts to look at the event loop. The log tells when calls begin to be turned away, and when that ends. */
export function openAdmission({
  loopDelayMaxMs: targetMs,
  clock,
  logger,
  rooms,
}: AdmissionParts): OpenAdmission {
  const admission = createAdmission({
    targetMs,
    onChange(refused) {
      if (refused === undefined) logger.warn('calls are turned away: the event loop is late');
      else logger.warn('calls are taken again', { turnedAway: refused });
    },
  });
  const probe = openProbe(clock, admission);
  const stop = every(ADMISSION_LOOK_MS, probe.send);
  rooms.defer('admission', () => {
    stop();
    probe.close();
  });
  return {
    refusal(): DomainError | undefined {
      // While more sockets are ready than the loop takes at once, it comes to no timer.
      probe.send();
      return admission.refusal();
    },
    get refused() {
      return admission.refused;
    },
    get share() {
      return admission.share;
    },
  };
}

/** A message to oneself. */
interface Probe {
  /** Tells how long one has been under way; sends one when there is none and the last was not a moment ago. */
  readonly send: () => void;
  readonly close: () => void;
}

/**
 * Sends itself a message, which waits among the sockets that are ready for as long as a request that
 * comes now does. A timer would tell less: libuv takes up to 48 times 1,024 events before it looks at timers.
 */
function openProbe(clock: Clock, admission: Admission): Probe {
  const { port1, port2 } = new MessageChannel();
  let sentMs = -Infinity;
  let idleWhenSentMs = 0;
  let isUnderWay = false;
  const idleMs = (): number => performance.eventLoopUtilization().idle - idleWhenSentMs;
  port2.on('message', () => {
    isUnderWay = false;
    admission.look(clock.monotonic() - sentMs, idleMs());
  });
  port1.unref();
  port2.unref();
  return {
    send() {
      const nowMs = clock.monotonic();
      if (isUnderWay) {
        admission.lookAhead(nowMs - sentMs, idleMs);
        return;
      }
      if (nowMs - sentMs < ADMISSION_LOOK_MS / 2) return;
      sentMs = nowMs;
      idleWhenSentMs = performance.eventLoopUtilization().idle;
      isUnderWay = true;
      port1.postMessage(undefined);
    },
    close() {
      port1.close();
    },
  };
}
