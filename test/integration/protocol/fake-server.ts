import {
  Health,
  HealthCheckResponse_ServingStatus,
} from '../../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { ServingState, SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { createActivity } from '../../../src/domain/node/activity.ts';
import { createCallFigures, type CallFigures } from '../../../src/domain/node/call-figures.ts';
import { REASONS } from '../../../src/errors/reason.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { CallContext } from '../../../src/protocol/call.ts';
import { createConnectDoor, type ConnectDoorOptions } from '../../../src/protocol/connect/door.ts';
import { bindService, createDispatcher } from '../../../src/protocol/dispatcher.ts';
import { createHttpServer, type HttpServerOptions } from '../../../src/protocol/http/server.ts';
import { deadline } from '../../../src/protocol/interceptors/deadline.ts';
import { createErrors } from '../../../src/protocol/interceptors/errors.ts';
import { createLogging } from '../../../src/protocol/interceptors/logging.ts';
import { createCallMetrics } from '../../../src/protocol/interceptors/metrics.ts';
import { createValidate } from '../../../src/protocol/interceptors/validate.ts';

/** The most a request of these tests may have. */
export const BODY_BYTES_MAX: number = 64 * 1024;

/** A server whose services do what the request says. */
export interface FakeServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly figures: CallFigures;
  /** What was logged, one JSON object a line. */
  readonly log: readonly string[];
  /** Resolves when a hanging call has begun. */
  readonly hanging: Promise<void>;
  /** Resolves when the signal of a hanging call has aborted. */
  readonly aborted: Promise<void>;
  close(): Promise<void>;
}

/** What a test may change. */
export type FakeServerOptions = Partial<HttpServerOptions> & Pick<ConnectDoorOptions, 'extras'>;

/** An error with everything an error can have. */
export function failureOf(user: string): Error {
  const reason = REASONS.find((one) => `reason:${one}` === user);
  if (reason === undefined) return new Error('the secret of the cause');
  return new DomainError(reason, `it failed because of ${reason} – «100 %»`, {
    metadata: { collection: 'things', limit: '7' },
    violations: [{ field: 'where.price', description: 'is negative' }],
    retryAfterMs: 1500,
  });
}

/** Starts the server on a free port. */
export async function startFakeServer(options: FakeServerOptions = {}): Promise<FakeServer> {
  const log: string[] = [];
  const logger = createLogger({ level: 'debug', destination: { write: (line) => log.push(line) } });
  const figures = createCallFigures(systemClock);
  const hanging = createEvent();
  const aborted = createEvent();

  async function hang({ signal }: CallContext): Promise<void> {
    hanging.happen();
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
    aborted.happen();
  }

  const unused = (): Promise<object> => Promise.resolve({});
  const auth = bindService(AuthService, {
    ...{ getSetup: unused, completeSetup: unused, answerChallenge: unused, refreshSession: unused },
    ...{ listSessions: unused, endSession: unused, impersonate: unused, changePassword: unused },
    ...{ enrolSecondFactor: unused, confirmSecondFactor: unused, renewRecoveryCodes: unused },
    ...{ removeSecondFactor: unused, listSignOnProviders: unused, beginSignOn: unused },
    ...{ finishSignOn: unused, beginDeviceSignOn: unused, pollDeviceSignOn: unused },
    async login({ username, password }, context) {
      if (username === 'hang') await hang(context);
      if (username === 'echo' || username === 'hang') return { token: password };
      if (username === 'large') return { token: 'x'.repeat(20_000) };
      throw failureOf(username);
    },
    whoAmI: (_request, { origin }) =>
      Promise.resolve({ principal: { subject: origin.address, tokenId: origin.requestId } }),
    logout: () => Promise.resolve({}),
    delegateToken: ({ clientId }) => Promise.resolve({ token: clientId }),
    refreshToken: () => Promise.resolve({}),
    revokeToken: ({ tokenId }) => Promise.resolve({ tokenId }),
  });
  const system = bindService(SystemService, {
    getHealth: () => Promise.resolve({ state: ServingState.READY }),
    flush: () => Promise.reject(failureOf('bug')),
    rotateDataKey: () => Promise.reject(failureOf('bug')),
    getStatus: (_request, { origin }) =>
      Promise.resolve({ sequence: 9_007_199_254_740_993n, release: origin.protocol }),
  });
  const status = HealthCheckResponse_ServingStatus.SERVING;
  const health = bindService(Health, {
    check: () => Promise.resolve({ status }),
    list: () => Promise.resolve({}),
    async *watch({ service }, context) {
      yield { status };
      if (service === 'hang') await hang(context);
      else if (service !== 'three') throw failureOf(service);
      yield { status };
      yield { status };
    },
  });
  const interceptors = [
    createLogging({ logger, clock: systemClock }),
    createCallMetrics({
      clock: systemClock,
      figures,
      activity: createActivity(),
      observe: () => undefined,
    }),
    createErrors(logger),
    deadline,
    createValidate(),
  ];
  const dispatcher = createDispatcher({ services: [auth, system, health], interceptors });
  const { extras } = options;
  const door = createConnectDoor({
    ...{ dispatcher, maxBodyBytes: BODY_BYTES_MAX, logger },
    ...(extras === undefined ? {} : { extras }),
  });
  const server = await createHttpServer({
    ...{ doors: [door], maxBodyBytes: BODY_BYTES_MAX, corsOrigins: () => [], logger, graceMs: 0 },
    ...options,
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const scheme = options.tls === undefined ? 'http' : 'https';
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= server.close());
  return {
    ...{ url: `${scheme}://127.0.0.1:${String(port)}`, port, figures, log, close },
    ...{ hanging: hanging.happened, aborted: aborted.happened },
    [Symbol.asyncDispose]: close,
  };
}

interface OneEvent {
  readonly happened: Promise<void>;
  happen(): void;
}

function createEvent(): OneEvent {
  let happen = (): void => undefined;
  const happened = new Promise<void>((resolve) => {
    happen = resolve;
  });
  return {
    happened,
    happen() {
      happen();
    },
  };
}
