import type { NodeState } from '../../domain/node/node.ts';
import type { Door, FastifyReply } from './door.ts';

/** What probes are told. */
export interface ProbesOptions {
  readonly release: string;
  readonly state: () => NodeState;
}

const VITAL = { exposeHeadRoute: true, config: { isVital: true } };

/**
 * What machines ask before they send calls: `/healthz` (the process answers), `/readyz` (it takes reads and
 * writes), `/version`. They pass no interceptor: no limit of calls, no credential, no work of the store.
 */
export function createProbesDoor({ release, state }: ProbesOptions): Door {
  const send = (reply: FastifyReply, status: number, body: object): FastifyReply =>
    reply.code(status).type('application/json').send(JSON.stringify(body));
  return (app) => {
    app.get('/healthz', VITAL, (_request, reply) => send(reply, 200, { status: 'alive' }));
    app.get('/readyz', VITAL, (_request, reply) => {
      const now = state();
      return send(reply, now === 'ready' ? 200 : 503, { status: now });
    });
    app.get('/version', VITAL, (_request, reply) => send(reply, 200, { release }));
  };
}
