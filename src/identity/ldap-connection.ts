import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { Client } from 'ldapts';

import { after } from '../platform/timers.ts';
import type { LdapSettings } from './ldap-options.ts';

/** One connection to a directory, not bound yet. */
export interface LdapConnection extends AsyncDisposable {
  readonly client: Client;
}

/** The request to begin TLS (RFC 4511, section 4.14). */
const START_TLS = '1.3.6.1.4.1.1466.20037';
/** What a directory may send in one sign-in; the library itself would keep any amount. */
const RECEIVED_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Connects, and verifies the certificate where there is TLS: nothing of a user is sent before. The signal
 * ends the connection, and with it what waits for an answer.
 */
export async function openLdap(
  settings: LdapSettings,
  signal: AbortSignal | undefined,
): Promise<LdapConnection> {
  const sockets: Socket[] = [];
  const destroy = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  signal?.addEventListener('abort', destroy, { once: true });
  const dispose = (): void => {
    signal?.removeEventListener('abort', destroy);
    destroy();
  };
  try {
    const socket = await openSocket(settings, (made) => {
      sockets.push(made);
      signal?.throwIfAborted();
    });
    const client = clientOver(socket, settings);
    return {
      client,
      async [Symbol.asyncDispose]() {
        // The server ends the session by itself when this does not reach it.
        await client.unbind().catch(() => undefined);
        dispose();
      },
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

async function openSocket(settings: LdapSettings, own: (socket: Socket) => void): Promise<Socket> {
  const { host, port, security, connectTimeoutMs } = settings;
  if (security === 'ldaps') {
    const secure = connectTls({ host, port, ...verification(settings) });
    own(secure);
    return await opened(secure, 'secureConnect', connectTimeoutMs);
  }
  const plain = connectTcp({ host, port });
  own(plain);
  await opened(plain, 'connect', connectTimeoutMs);
  if (security === 'none') return plain;
  await askForTls(plain, settings);
  const secure = connectTls({ socket: plain, host, ...verification(settings) });
  own(secure);
  return await opened(secure, 'secureConnect', connectTimeoutMs);
}

/**
 * Asks through a client of its own, which is thrown away: bytes that somebody slipped in behind the answer,
 * before TLS, must not be read as answers of the session that follows.
 */
async function askForTls(plain: Socket, settings: LdapSettings): Promise<void> {
  await clientOver(plain, settings).exop(START_TLS);
  plain.removeAllListeners('data');
}

function verification({ host, caPem }: LdapSettings): {
  readonly minVersion: 'TLSv1.2';
  readonly rejectUnauthorized: true;
  readonly servername?: string;
  readonly ca?: string;
} {
  return {
    ...{ minVersion: 'TLSv1.2', rejectUnauthorized: true },
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(caPem === undefined ? {} : { ca: caPem }),
  };
}

/** The library connects again by itself when a connection is lost: unbound, and without TLS. Not here. */
function clientOver(
  socket: Socket,
  { operationTimeoutMs, connectTimeoutMs }: LdapSettings,
): Client {
  let isTaken = false;
  let receivedBytes = 0;
  socket.on('data', (bytes) => {
    receivedBytes += bytes.length;
    if (receivedBytes > RECEIVED_BYTES_MAX) {
      socket.destroy(new Error(`the directory sent more than ${RECEIVED_BYTES_MAX} bytes`));
    }
  });
  return new Client({
    url: 'ldap://localhost',
    timeout: operationTimeoutMs,
    connectTimeout: connectTimeoutMs,
    createConnection: () => {
      if (isTaken) throw new Error('the connection was lost');
      isTaken = true;
      return socket;
    },
  });
}

function opened<T extends Socket | TLSSocket>(
  socket: T,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = after(timeoutMs, () => {
      socket.destroy(new Error(`no connection within ${timeoutMs} ms`));
    });
    let failure: Error | undefined;
    socket.once(event, () => {
      stop();
      resolve(socket);
    });
    socket.on('error', (error: Error) => {
      failure = error;
    });
    socket.once('close', () => {
      stop();
      reject(failure ?? new Error('the connection was closed'));
    });
  });
}
