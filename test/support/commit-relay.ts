import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A relay before a PostgreSQL that can lose a connection at the worst moment, or hold one back. */
export interface CommitRelay extends AsyncDisposable {
  readonly port: number;
  /**
   * What becomes of the next connection that sends a COMMIT. `before` and `after`: it is cut before that is passed
   * on, or when it was answered and before the answer is. `held`: the COMMIT stays here, as if the node stood still.
   * `silent`: it is passed on, and nothing more comes back. `panic`: as `after`, and the last word of the session is
   * that of a server that ends, for want of space (53100).
   */
  cutNext: 'before' | 'after' | 'held' | 'silent' | 'panic' | undefined;
  /** `cutNext` waits for the COMMIT of a transaction that has sent this; undefined: of any. */
  cutOf: string | undefined;
  /** Commits that pass wake up nobody, so that other nodes know of them when they look by themselves. */
  isQuiet: boolean;
  /** The database does not know LISTEN. */
  isDeaf: boolean;
  /** Done before a connection is cut. */
  atCut: () => Promise<unknown>;
  /** From now on nothing passes either way, as if the node stood still, until `resume`. */
  pause(): void;
  resume(): void;
  /** Nothing more comes through the connections of tailers, which stay open, and of new ones, until `release`. */
  holdTailers(): void;
  release(): void;
  /** How often `cutNext` came about. */
  readonly cuts: number;
  /** How many COMMITs were sent. */
  readonly commits: number;
  /** How many NOTIFYs were sent. */
  readonly notifications: number;
  /** How often something was sent to the database. */
  readonly sent: number;
  /** How often entries of the log were asked for. */
  readonly logReads: number;
}

/** An ErrorResponse of the frontend/backend protocol. */
const PANIC = errorResponse({ S: 'PANIC', V: 'PANIC', C: '53100', M: 'no space left' });

function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(fields).map(([name, value]) => `${name}${value}\0`);
  const body = Buffer.from(`${text.join('')}\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** Starts a relay to a port of this machine. */
export async function startCommitRelay(target: number): Promise<CommitRelay> {
  const open = new Set<Socket>();
  const tailers = new Set<Socket>();
  const relay = {
    ...{ cutNext: undefined as CommitRelay['cutNext'], cuts: 0, sent: 0, commits: 0, logReads: 0 },
    notifications: 0,
    ...{ isQuiet: false, isDeaf: false, cutOf: undefined as string | undefined },
    atCut: (): Promise<unknown> => Promise.resolve(),
  };
  let isPaused = false;
  let isHolding = false;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    let isMeant = false;
    const isCutBy = (bytes: Buffer): boolean => {
      const begun = bytes.lastIndexOf('BEGIN');
      if (begun !== -1) isMeant = false;
      isMeant ||= relay.cutOf !== undefined && bytes.includes(relay.cutOf, Math.max(0, begun));
      return bytes.includes('COMMIT') && (isMeant || relay.cutOf === undefined);
    };
    const hangUp = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      if (isPaused) socket.pause();
      socket.on('error', hangUp);
      socket.once('close', () => {
        open.delete(socket);
        tailers.delete(socket);
        hangUp();
      });
    }
    upstream.on('data', (bytes) => client.write(bytes));
    client.on('data', (bytes) => {
      relay.sent += 1;
      relay.logReads += bytes.toString('latin1').split('FROM ver v JOIN').length - 1;
      // Nobody else listens for as long as it lives.
      if (bytes.includes('LISTEN')) for (const socket of [client, upstream]) tailers.add(socket);
      if (isHolding && tailers.has(client)) {
        for (const socket of [client, upstream]) socket.pause();
        client.unshift(bytes);
        return;
      }
      relay.notifications += bytes.includes('NOTIFY "') ? 1 : 0;
      relay.commits += bytes.includes('COMMIT') ? 1 : 0;
      const when = isCutBy(bytes) ? relay.cutNext : undefined;
      if (when === undefined) {
        upstream.write(passed(bytes, relay));
        return;
      }
      relay.cutNext = undefined;
      relay.cuts += 1;
      const cut = (): void => void relay.atCut().finally(hangUp);
      if (when === 'before') {
        cut();
        return;
      }
      if (when === 'held') {
        client.removeAllListeners('data');
        return;
      }
      upstream.removeAllListeners('data');
      // Of a commit there are several answers; when the last has come, it is certain.
      let answered = '';
      upstream.on('data', (answer) => {
        answered += answer.toString('latin1');
        if (when === 'silent' || !answered.includes('COMMIT\0')) return;
        upstream.removeAllListeners('data');
        if (when === 'panic') client.write(PANIC);
        cut();
      });
      upstream.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(relay, {
    port,
    pause() {
      isPaused = true;
      for (const socket of open) socket.pause();
    },
    resume() {
      isPaused = false;
      for (const socket of open) socket.resume();
    },
    holdTailers() {
      isHolding = true;
      for (const socket of tailers) socket.pause();
    },
    release() {
      isHolding = false;
      for (const socket of tailers) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** What is passed on, of the same length: nobody is told where all is quiet, and to be told is not known where all is deaf. */
function passed(
  bytes: Buffer,
  { isQuiet, isDeaf }: Pick<CommitRelay, 'isQuiet' | 'isDeaf'>,
): Buffer {
  if (!isQuiet && !isDeaf) return bytes;
  const text = bytes.toString('latin1');
  const deaf = isDeaf ? text.replaceAll('LISTEN "', 'LISTEM "') : text;
  return Buffer.from(isQuiet ? deaf.replaceAll('NOTIFY "', 'LISTEN "') : deaf, 'latin1');
}
