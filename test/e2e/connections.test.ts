/** As many connections as a server takes by default, open at once in a process of its own. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { expect, it } from 'vitest';

import { serveWith } from '../support/served.ts';

const CONNECTIONS = 10_000;
const AT_ONCE = 100;
const LONG_MS = 180_000;

/** A connection that has had one answer and stays. */
async function openIdle(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString('latin1', 0, 12)).toBe('HTTP/1.1 200');
  return socket;
}

it('ten thousand idle connections stay, and others are served', { timeout: LONG_MS }, async () => {
  const some = String(CONNECTIONS + AT_ONCE);
  await using served = await serveWith([
    ...['--max-connections', some, '--max-connections-per-address', some],
    ...['--idle-timeout', '3600'],
  ]);
  const port = Number(new URL(served.server.url).port);
  const idle: Socket[] = [];
  while (idle.length < CONNECTIONS) {
    const next = Array.from({ length: AT_ONCE }, () => openIdle(port));
    idle.push(...(await Promise.all(next)));
  }
  const token = await served.login();
  for (let n = 0; n < 20; n++) {
    const body = { body: { fields: { n } } };
    const path = '/v1/collections/things/documents/a';
    expect((await served.ask('PUT', path, { token, body })).status).toBe(200);
  }
  expect(idle.filter(({ destroyed }) => destroyed)).toEqual([]);
  expect(await served.server.stop('SIGTERM')).toBe(0);
});
