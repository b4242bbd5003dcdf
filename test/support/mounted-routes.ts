import fastify from 'fastify';

import { createDispatcher } from '../../src/protocol/dispatcher.ts';
import { SERVICES } from '../../src/protocol/services/mounted.ts';
import { composeDoors } from '../../src/server/protocols.ts';
import { createManualClock } from './manual-clock.ts';
import { testConfig } from './server.ts';

/** A route that only refuses takes all methods but those that are served. */
const SERVED_MAX = 2;

/**
 * Every route that the doors of a server mount, such as `POST /set`, as the framework is told. Those of RPCs
 * and of REST are not among them: they follow from the contract.
 */
export async function mountedRoutes(): Promise<readonly string[]> {
  const services = Object.values(SERVICES).map((service) => ({ service, handlers: new Map() }));
  const dispatcher = createDispatcher({ services, interceptors: [] });
  // No call is made, so that nobody asks them.
  const [node, addressLimit] = [{} as never, {} as never];
  const parts = {
    ...{ node, addressLimit, csrfKey: Buffer.alloc(32), clock: createManualClock() },
    ...{ admit: () => undefined, isEnding: () => false, isProxy: () => false },
  };
  const found = new Set<string>();
  const app = fastify({ exposeHeadRoutes: false });
  app.addHook('onRoute', ({ method, url }) => {
    const methods = typeof method === 'string' ? [method] : method;
    if (methods.length > SERVED_MAX || url.includes('*')) return;
    for (const one of methods) if (one !== 'HEAD') found.add(`${one} ${url}`);
  });
  for (const door of composeDoors(testConfig(''), dispatcher, parts)) {
    await app.register(async (scope) => {
      await door(scope);
    });
  }
  await app.ready();
  await app.close();
  return [...found].sort();
}
