/** A WebSocket whose frames are kept. */
export interface RecordedSocket extends AsyncDisposable {
  readonly frames: readonly Frame[];
  send(frame: unknown): void;
  sendRaw(data: string | Uint8Array<ArrayBuffer>): void;
  /** The frame that first passes; waits for it. */
  find(isWanted: (frame: Frame) => boolean): Promise<Frame>;
  /** The code the connection was closed with. */
  closed(): Promise<number>;
}

/** A frame, parsed. Of any shape: what a test expects of it is what it asserts. */
export type Frame = Readonly<Record<string, any>>;

/** Connects with the standard client of browsers and Node; only the latter sends headers of its own. */
export async function openSocket(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RecordedSocket> {
  const socket = new WebSocket(url, { headers: { ...headers } });
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let code: number | undefined;
  const look = (): void => {
    for (const one of [...waiting]) one();
  };
  socket.addEventListener('message', ({ data }) => {
    frames.push(JSON.parse(String(data)) as Frame);
    look();
  });
  const over = new Promise<number>((resolve) => {
    socket.addEventListener('close', (event) => {
      code = event.code;
      resolve(event.code);
      look();
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => {
      resolve();
    });
    socket.addEventListener('error', () => {
      reject(new Error('the connection was refused'));
    });
  });
  return {
    frames,
    send: (frame) => {
      socket.send(JSON.stringify(frame));
    },
    sendRaw: (data) => {
      socket.send(data);
    },
    find: (isWanted) =>
      new Promise((resolve, reject) => {
        const attempt = (): void => {
          const found = frames.find(isWanted);
          if (found === undefined && code === undefined) return;
          waiting.delete(attempt);
          if (found !== undefined) resolve(found);
          else reject(new Error(`closed with ${String(code)}: ${JSON.stringify(frames)}`));
        };
        waiting.add(attempt);
        attempt();
      }),
    closed: () => over,
    async [Symbol.asyncDispose]() {
      socket.close();
      await over;
    },
  };
}
