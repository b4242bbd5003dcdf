import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A relay before a PostgreSQL that can lose a connection at the worst moment. */
export interface CommitRelay extends AsyncDisposable {
  readonly port: number;
  /**
   * Cuts the next connection that sends a COMMIT: before it is passed on, or after it was answered and
   * before the answer is.
   */
  cutNext: 'before' | 'after' | undefined;
  /** How often that came about. */
  readonly cuts: number;
  /** How often something was sent to the database. */
  readonly sent: number;
}

/** Starts a relay to a port of this machine. */
export async function startCommitRelay(target: number): Promise<CommitRelay> {
  const open = new Set<Socket>();
  const relay = { cutNext: undefined as CommitRelay['cutNext'], cuts: 0, sent: 0 };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    const hangUp = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', hangUp);
      socket.once('close', () => {
        open.delete(socket);
        hangUp();
      });
    }
    upstream.on('data', (bytes) => client.write(bytes));
    client.on('data', (bytes) => {
      relay.sent += 1;
      const when = bytes.includes('COMMIT') ? relay.cutNext : undefined;
      if (when === undefined) {
        upstream.write(bytes);
        return;
      }
      relay.cutNext = undefined;
      relay.cuts += 1;
      if (when === 'before') {
        hangUp();
        return;
      }
      upstream.removeAllListeners('data');
      // Of a commit there are several answers; when the last has come, it is certain.
      let answered = '';
      upstream.on('data', (answer) => {
        answered += answer.toString('latin1');
        if (answered.includes('COMMIT\0')) hangUp();
      });
      upstream.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(relay, {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
