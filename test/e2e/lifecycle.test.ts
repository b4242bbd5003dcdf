/** How a server begins and ends for those who are connected to it, in a process of its own. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { WatchEndReason } from '../../gen/molten/v1/watch_pb.ts';
import { MOLTEN } from '../support/molten.ts';
import { refusedStart, startServe, type ServeProcess } from '../support/serve.ts';
import { SECRETS } from '../support/served.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { recordWatch, watchClient } from '../support/watching.ts';

const LONG_MS = 90_000;
const SERVICES = ['', 'molten.v1.DocumentService', 'molten.v1.WatchService'];
const BODY = JSON.stringify({ body: { fields: { n: 2 } } });

function start(directory: string, flags: readonly string[] = []): Promise<ServeProcess> {
  const args = ['--db-path', directory, '--port', '0', ...flags];
  return startServe({ args, variables: SECRETS });
}

async function login(url: string): Promise<string> {
  const answer = await fetch(`${url}/v1/sessions`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ username: 'root', password: SECRETS['MOLTENDB_ROOT_PASSWORD'] }),
  });
  return ((await answer.json()) as { token: string }).token;
}

/** A connection of HTTP/1.1 that stays open, and all that came over it. */
interface Kept {
  readonly socket: Socket;
  readonly text: () => string;
  /** Waits until something has come. */
  until(part: string): Promise<void>;
}

function keep(url: string): Kept {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => undefined);
  return {
    ...{ socket, text: () => text },
    async until(part) {
      await expect.poll(() => text, { timeout: LONG_MS }).toContain(part);
    },
  };
}

/** A write whose last byte is missing. */
async function beginWrite(url: string, token: string): Promise<Kept> {
  const kept = keep(url);
  kept.socket.write(
    [
      ...['PUT /v1/collections/things/documents/slow HTTP/1.1', 'host: a'],
      ...['content-type: application/json', `authorization: Bearer ${token}`],
      ...['expect: 100-continue', `content-length: ${String(BODY.length)}`, '', ''],
    ].join('\r\n'),
  );
  // Its headers are taken: it runs.
  await kept.until('100 Continue');
  kept.socket.write(BODY.slice(0, -1));
  return kept;
}

async function isRefused(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const [event] = await Promise.race([
    once(socket, 'error').then(() => ['error']),
    once(socket, 'connect').then(() => ['connect']),
  ]);
  socket.destroy();
  return event === 'error';
}

describe('gRPC health', () => {
  it(
    'tells of each service, and that the server is about to end',
    { timeout: LONG_MS },
    async () => {
      using directory = createTemporaryDirectory();
      await using server = await start(directory.path);
      const health = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
      for (const service of SERVICES) {
        expect(await health.check({ service })).toMatchObject({ status: Status.SERVING });
      }
      const listed = await health.list({});
      expect(Object.keys(listed.statuses)).toEqual(expect.arrayContaining(SERVICES));
      const unknown = health.check({ service: 'molten.v1.NoService' });
      await expect(unknown).rejects.toMatchObject({ code: Code.NotFound });
      const watch = async function* (service: string): AsyncGenerator<Status> {
        for await (const { status } of health.watch({ service })) yield status;
      };
      expect(await watch('molten.v1.NoService').next()).toMatchObject({
        value: Status.SERVICE_UNKNOWN,
      });
      const watched = watch('molten.v1.DocumentService');
      expect(await watched.next()).toMatchObject({ value: Status.SERVING });
      const exited = once(server.child, 'exit');
      server.child.kill('SIGTERM');
      expect(await watched.next()).toMatchObject({ value: Status.NOT_SERVING });
      expect(await watched.next()).toMatchObject({ done: true });
      expect((await exited)[0]).toBe(0);
    },
  );
});

describe('a server that is told to end', () => {
  it(
    'takes no more, ends what runs and streams resumably, and keeps what it acknowledged',
    { timeout: LONG_MS },
    async () => {
      using directory = createTemporaryDirectory();
      const targets = [{ collection: 'things' }];
      let resumeToken: string;
      {
        await using server = await start(directory.path);
        const token = await login(server.url);
        await using watch = await recordWatch(watchClient(server.url, token), { targets });
        const session = connectHttp2(server.url);
        await once(session, 'remoteSettings');
        const goneAway = once(session, 'goaway');
        const slow = await beginWrite(server.url, token);
        const idle = keep(server.url);
        idle.socket.write('GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n');
        await idle.until('"ready"');
        const exited = once(server.child, 'exit');

        server.child.kill('SIGTERM');
        expect((await goneAway)[0]).toBe(0);
        expect(await watch.ended()).toMatchObject({ reason: 'SHUTTING_DOWN' });
        expect(watch.messages.at(-1)?.end).toBe(WatchEndReason.SHUTTING_DOWN);
        resumeToken = watch.messages.at(-1)?.resumeToken ?? '';
        await expect.poll(() => isRefused(server.url), { timeout: LONG_MS }).toBe(true);
        slow.socket.write(BODY.slice(-1));
        await slow.until('"sequence"');
        expect(slow.text()).toContain('HTTP/1.1 200 OK');
        expect((await exited)[0]).toBe(0);
      }
      await using server = await start(directory.path);
      const client = watchClient(server.url, await login(server.url));
      const from = { case: 'resumeToken', value: resumeToken } as const;
      await using resumed = await recordWatch(client, { targets, start: from });
      const messages = await resumed.until((all) => all.some(({ changes }) => changes.length > 0));
      expect(messages.flatMap(({ changes }) => changes.map(({ key }) => key))).toEqual(['slow']);
    },
  );

  it('ends in order as soon as it says that it listens', { timeout: LONG_MS }, async () => {
    // It may be killed by what comes a moment too early: some times it is not.
    for (let time = 0; time < 5; time++) {
      using directory = createTemporaryDirectory();
      const args = ['serve', '--dev-mode', '--port', '0', '--db-path', directory.path];
      const child = spawn(process.execPath, [MOLTEN, ...args], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      child.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
    }
  });

  it('ends although a call and its caller do not', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    await using server = await start(directory.path);
    const stuck = await beginWrite(server.url, await login(server.url));
    stuck.socket.pause();
    expect(await server.stop('SIGTERM')).toBe(0);
  });

  it('ends at once when it is told again', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    await using server = await start(directory.path);
    await beginWrite(server.url, await login(server.url));
    server.child.kill('SIGTERM');
    await expect.poll(() => isRefused(server.url), { timeout: LONG_MS }).toBe(true);
    expect(await server.stop('SIGTERM')).toBe('SIGTERM');
  });
});

const readiness = async (url: string): Promise<number> => (await fetch(`${url}/readyz`)).status;

describe('a server that is told to end, with --shutdown-delay', () => {
  it(
    'is not ready for load balancers, and takes every call all the same',
    { timeout: LONG_MS },
    async () => {
      using directory = createTemporaryDirectory();
      await using server = await start(directory.path, ['--shutdown-delay', '600']);
      const token = await login(server.url);
      const health = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
      const watched = health.watch({})[Symbol.asyncIterator]();
      expect(await watched.next()).toMatchObject({ value: { status: Status.SERVING } });
      server.child.kill('SIGTERM');
      await expect.poll(() => readiness(server.url), { timeout: LONG_MS }).toBe(503);
      expect(await (await fetch(`${server.url}/readyz`)).json()).toEqual({ status: 'stopping' });
      expect(await health.check({})).toMatchObject({ status: Status.NOT_SERVING });
      // On a connection of its own.
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const url = `${server.url}/v1/collections/things/documents/late`;
      expect((await fetch(url, { method: 'PUT', headers, body: BODY })).status).toBe(200);
      expect((await fetch(url, { headers })).status).toBe(200);
      // Who watches is told, and kept: a stream that ends is opened again at once.
      expect(await watched.next()).toMatchObject({ value: { status: Status.NOT_SERVING } });
      let hasEnded = false;
      const end = watched.next().finally(() => (hasEnded = true));
      end.catch(() => undefined);
      for (let n = 0; n < 20; n++) await health.check({});
      expect(hasEnded).toBe(false);
      // Told again, it waits no longer.
      expect(await server.stop('SIGTERM')).toBe('SIGTERM');
    },
  );

  it('ends by itself when that is over', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    await using server = await start(directory.path, ['--shutdown-delay', '3']);
    const health = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    const statuses: Status[] = [];
    const watch = async (): Promise<void> => {
      for await (const { status } of health.watch({})) statuses.push(status);
    };
    const watched = watch();
    await expect.poll(() => statuses, { timeout: LONG_MS }).toEqual([Status.SERVING]);
    const exited = once(server.child, 'exit');
    server.child.kill('SIGTERM');
    await expect.poll(() => readiness(server.url), { timeout: LONG_MS, interval: 20 }).toBe(503);
    await watched;
    expect(statuses).toEqual([Status.SERVING, Status.NOT_SERVING]);
    expect((await exited)[0]).toBe(0);
  });
});

describe('a server that cannot be closed', () => {
  it(
    'says what hangs, is killed after --shutdown-timeout, and loses nothing',
    { timeout: LONG_MS },
    async () => {
      using directory = createTemporaryDirectory();
      const pipe = join(directory.path, 'audit');
      execFileSync('mkfifo', [pipe]);
      // Whoever ships the audit log stands still.
      const shipper = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
      fill(shipper);
      const store = join(directory.path, 'store');
      {
        const flags = ['--audit-file', pipe, '--shutdown-timeout', '1'];
        await using server = await start(store, flags);
        const slow = await beginWrite(server.url, await login(server.url));
        slow.socket.write(BODY.slice(-1));
        await slow.until('"sequence"');
        expect(await server.stop('SIGTERM')).toBe('SIGKILL');
        expect(server.stderr()).toMatch(
          /"open":\["the audit log",.*"the store".*"msg":"the server did not close in time and is killed"/,
        );
      }
      closeSync(shipper);
      await using server = await start(store);
      const headers = { authorization: `Bearer ${await login(server.url)}` };
      const url = `${server.url}/v1/collections/things/documents/slow`;
      expect((await fetch(url, { headers })).status).toBe(200);
    },
  );
});

/** Writes until there is no more room. */
function fill(pipe: number): void {
  try {
    for (;;) writeSync(pipe, Buffer.alloc(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
}

describe('a store that another server has open', () => {
  it('is named, with what to do, and goes on being served', { timeout: LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    await using server = await start(directory.path);
    const args = ['--db-path', directory.path, '--port', '0'];
    const refused = await refusedStart({ args, variables: SECRETS });
    const said = refused.stderr.replaceAll(/\s*›\s*|\s+/g, ' ');
    expect(said).toContain(`'${directory.path}' is open in another process; stop that one`);
    expect(refused.code).toBe(1);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    // The lock goes with its process, however that ends.
    expect(await server.stop('SIGKILL')).toBe('SIGKILL');
    await using next = await start(directory.path);
    expect((await fetch(`${next.url}/readyz`)).status).toBe(200);
  });
});
