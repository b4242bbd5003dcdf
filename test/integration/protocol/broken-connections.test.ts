import { createServer, type AddressInfo } from 'node:net';

import { describe, expect, it } from 'vitest';

import { createMoltenClient } from '../../../src/client/index.ts';
import { CONNECTION_LIMITS } from '../../../src/protocol/http/one-port.ts';
import { startTestServer } from '../../support/server.ts';

const BROKEN = {
  reason: 'ENGINE_UNAVAILABLE',
  message: expect.stringContaining('--max-connections-per-address'),
};

describe('a connection without an answer', () => {
  it('is told as one that the server did not take, with what bounds them', async () => {
    const connections = { ...CONNECTION_LIMITS, connectionsPerAddressMax: 3 };
    await using server = await startTestServer({ connections });
    const token = await server.rootToken();
    const stop = new AbortController();
    const outcomes = Array.from({ length: 6 }, async () => {
      // Each watch has a connection of its own over HTTP/1.1.
      const client = createMoltenClient({ url: server.url, token: () => token });
      const error = new Promise((resolve) => {
        const options = { signal: stop.signal, onInterruption: resolve };
        const watch = client.watch({ targets: [{ collection: 'c' }] }, options);
        void watch.next().then((message) => {
          resolve(message);
        });
      });
      return await error;
    });
    const told = await Promise.all(outcomes);
    expect(told.filter((one) => one instanceof Error).length).toBeGreaterThan(0);
    for (const one of told) if (one instanceof Error) expect(one).toMatchObject(BROKEN);
    stop.abort();
  });

  it('is told the same where nobody listens, and where the answer is cut off', async () => {
    const cutting = createServer((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    await new Promise<void>((resolve) => cutting.listen(0, '127.0.0.1', resolve));
    const { port } = cutting.address() as AddressInfo;
    const url = `http://127.0.0.1:${String(port)}`;
    const refused = createMoltenClient({ url }).system.getHealth({});
    await expect(refused).rejects.toMatchObject(BROKEN);
    await new Promise((resolve) => cutting.close(resolve));
    for (const protocol of ['connect', 'grpc'] as const) {
      const nobody = createMoltenClient({ url, protocol });
      await expect(nobody.system.getHealth({})).rejects.toMatchObject(BROKEN);
    }
  });
});
