import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP relay that cuts connections, and whose target may move. */
export interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** Where new connections go; undefined refuses them. */
  target: number | undefined;
  /** Cuts every connection there is. */
  cut(): void;
  /** Keeps every connection there is, and passes nothing on it any more. */
  mute(): void;
}

/** Starts a relay on a free port of this machine. */
export async function startProxy(): Promise<Proxy> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    if (proxy.target === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(proxy.target, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.once('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  const mute = (): void => {
    for (const socket of open) socket.unpipe().pause();
  };
  const proxy: Proxy = {
    ...{ url: `http://127.0.0.1:${String(port)}`, target: undefined, cut, mute },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
