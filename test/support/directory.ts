import { once } from 'node:events';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';

import ldapjs from 'ldapjs';
import { Filter } from 'ldapts';

import { certificate, privateKey } from './certificate.ts';

/** The root of every entry. */
export const ROOT = 'dc=example,dc=org';
/** Whom the server searches as. */
export const SERVICE = { dn: `cn=molten,ou=services,${ROOT}`, password: 'service secret' };

/** An entry: its name, its attributes, and the password that it may sign in with. */
export interface DirectoryEntry {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, string | Buffer | readonly string[]>>;
  readonly password?: string;
}

/** A directory server that runs in this process, and what it was asked. */
export interface Directory extends AsyncDisposable {
  readonly port: number;
  readonly binds: { readonly dn: string; readonly password: string }[];
  readonly filters: string[];
  /** Connections that are open now. */
  connections(): Promise<number>;
  /** Keeps answers to searches back until it is called again with false. */
  hold(isHeld: boolean): void;
}

/** Handlers of the library get these; its own types leave them open. */
interface BindRequest {
  readonly dn: { toString(): string };
  readonly credentials: string;
}

interface SearchRequest {
  readonly dn: { toString(): string };
  readonly filter: { toString(): string; matches(attributes: object): boolean };
}

interface Response {
  attributes: readonly string[];
  send(entry: Pick<DirectoryEntry, 'dn' | 'attributes'>): void;
  end(): void;
}

type Next = (error?: object) => void;

/** Starts a directory on loopback; with TLS if asked. */
export async function startDirectory(
  entries: readonly DirectoryEntry[],
  { tls = false }: { readonly tls?: boolean } = {},
): Promise<Directory> {
  const server = ldapjs.createServer(tls ? { certificate, key: privateKey } : {});
  const binds: Directory['binds'] = [];
  const filters: string[] = [];
  let held: (() => void)[] | undefined;
  server.bind('', (request: BindRequest, response: Response, next: Next) => {
    const password = request.credentials;
    const dn = canonical(request.dn.toString());
    binds.push({ dn, password });
    const known = [SERVICE, ...entries].find((entry) => canonical(entry.dn) === dn);
    // As many directories do, it takes an empty password for nobody and lets nobody in.
    const isRight = password === '' || known?.password === password;
    if (isRight) response.end();
    next(isRight ? undefined : new ldapjs.InvalidCredentialsError());
  });
  server.search(ROOT, (request: SearchRequest, response: Response, next: Next) => {
    filters.push(request.filter.toString());
    // The library compares names of attributes by case; directories do not.
    response.attributes = ['*'];
    const answer = (): void => {
      const base = canonical(request.dn.toString());
      for (const { dn, attributes } of entries) {
        const isBelow = canonical(dn).endsWith(base);
        if (isBelow && request.filter.matches(escaped(attributes)))
          response.send({ dn, attributes });
      }
      response.end();
      next();
    };
    if (held === undefined) answer();
    else held.push(answer);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // Its types do not know the listener, which tells the port and the connections.
  const listener = (server as unknown as { server: Server }).server;
  return {
    port: (listener.address() as AddressInfo).port,
    binds,
    filters,
    connections: () =>
      new Promise((resolve) => {
        listener.getConnections((_, count) => {
          resolve(count);
        });
      }),
    hold(isHeld) {
      for (const answer of held ?? []) answer();
      held = isHeld ? [] : undefined;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(listener, 'close');
      server.close(() => undefined);
      await closed;
    },
  };
}

/** What StartTLS is answered with: success. */
const STARTED = Buffer.from([
  ...[0x30, 0x0c, 0x02, 0x01, 0x02],
  ...[0x78, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00],
]);

/** A front of a directory that speaks StartTLS, and notes what came before it in clear. */
export async function startTlsFront(
  port: number,
  { injected = Buffer.alloc(0) }: { readonly injected?: Buffer } = {},
): Promise<AsyncDisposable & { readonly port: number; readonly clear: Buffer[] }> {
  const clear: Buffer[] = [];
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (request) => {
      clear.push(request);
      socket.write(Buffer.concat([STARTED, injected]));
      const secure = new TLSSocket(socket, {
        ...{ isServer: true, cert: certificate, key: privateKey },
      });
      const behind = connect(port, '127.0.0.1');
      for (const one of [secure, behind]) {
        one.on('error', () => undefined);
        one.on('close', () => {
          behind.destroy();
          secure.destroy();
        });
      }
      secure.pipe(behind);
      behind.pipe(secure);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    clear,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The library keeps the values of a filter escaped as RFC 4515 asks for in text. */
function escaped(attributes: DirectoryEntry['attributes']): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      [value].flat().map((one) => Filter.escape(one)),
    ]),
  );
}

/** As the library writes it, in lower case. */
function canonical(dn: string): string {
  const name: { toString(): string } = ldapjs.parseDN(dn);
  return name.toString().toLowerCase();
}
