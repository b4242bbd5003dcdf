import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import type { Logger } from '../../platform/logger.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { ListenAddress } from './server.ts';

/** The listener that scrapers ask. */
export interface MetricsServer {
  readonly address: ListenAddress;
  close(): Promise<void>;
}

/** What it tells, and where. */
export interface MetricsServerOptions {
  readonly metrics: Pick<Metrics, 'render' | 'contentType'>;
  readonly logger: Logger;
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
}

const PATH = '/metrics';
const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Starts a listener of its own for `GET /metrics`, without credentials: who reaches it may read it, and it
 * stays reachable when the one port is not. Nothing else is there.
 */
export async function listenForScrapers(options: MetricsServerOptions): Promise<MetricsServer> {
  const { metrics, logger, host, port } = options;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0];
    if (path !== PATH || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end(`there is only ${PATH}\n`);
      return;
    }
    const text = await metrics.render();
    response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : text);
  }

  const server = createServer((request, response) => {
    request.resume();
    answer(request, response).catch((error: unknown) => {
      logger.error('the metrics could not be read', { error: String(error) });
      response.writeHead(500).end();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address();
  return {
    address: { host, port: typeof bound === 'object' && bound !== null ? bound.port : port },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
