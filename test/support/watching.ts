import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient, type Client } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';

import {
  WatchEventKind,
  WatchedChangeKind,
  WatchService,
  type WatchedChange,
  type WatchRequestSchema,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import { bodyOf } from '../../src/client/documents.ts';
import { toMoltenError, type MoltenError } from '../../src/client/molten-error.ts';

/** A watch whose messages are kept. */
export interface RecordedWatch extends AsyncDisposable {
  readonly messages: readonly WatchResponse[];
  /** Waits until what was recorded passes, and returns it. Fails with what ended the watch before. */
  until(
    isEnough: (messages: readonly WatchResponse[]) => boolean,
  ): Promise<readonly WatchResponse[]>;
  /** What the watch failed with; undefined when it ended in peace. */
  ended(): Promise<MoltenError | undefined>;
  /** Goes away. */
  cancel(): void;
}

/** A client of the WatchService. */
export function watchClient(url: string, token: string): Client<typeof WatchService> {
  const transport = createConnectTransport({
    ...{ baseUrl: url, httpVersion: '1.1', useBinaryFormat: true },
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(WatchService, transport);
}

/** Starts a watch and waits for its first message. */
export async function recordWatch(
  client: Client<typeof WatchService>,
  request: MessageInitShape<typeof WatchRequestSchema>,
): Promise<RecordedWatch> {
  const abort = new AbortController();
  const messages: WatchResponse[] = [];
  const waiting = new Set<() => void>();
  let end: { readonly error: MoltenError | undefined } | undefined;

  async function read(): Promise<void> {
    try {
      for await (const message of client.watch(request, { signal: abort.signal })) {
        messages.push(message);
        for (const look of waiting) look();
      }
      end = { error: undefined };
    } catch (error) {
      end = { error: toMoltenError(error) };
    }
    for (const look of waiting) look();
  }

  const reading = read();
  const recorded: RecordedWatch = {
    messages,
    until: (isEnough) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (isEnough(messages)) resolve([...messages]);
          else if (end === undefined) return;
          else reject(end.error ?? new Error('the watch ended too early'));
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
    async ended() {
      await reading;
      return end?.error;
    },
    cancel: () => {
      abort.abort();
    },
    async [Symbol.asyncDispose]() {
      abort.abort();
      await reading;
    },
  };
  await recorded.until(({ length }) => length > 0);
  return recorded;
}

/** Every change of some messages, in order. */
export function changesOf(messages: readonly WatchResponse[]): readonly WatchedChange[] {
  return messages.flatMap(({ changes }) => changes);
}

/** Changes in a word each, such as `entered a 1`: kind, key, and the member `n` of what is shown. */
export function wordsOf(messages: readonly WatchResponse[]): readonly string[] {
  return changesOf(messages).map(({ kind, key, document, previous }) => {
    const shown = document && ` ${String(bodyOf(document)['n'])}`;
    const before = previous && ` (${String(bodyOf(previous)['n'])})`;
    return `${nameOf(kind)} ${key}${shown ?? ''}${before ?? ''}`;
  });
}

function nameOf(kind: WatchedChangeKind): string {
  const found = Object.entries(WatchedChangeKind).find(([, value]) => value === kind);
  return String(found?.[0]).toLowerCase();
}

/** The kinds of messages, such as `started`. */
export function kindsOf(messages: readonly WatchResponse[]): readonly string[] {
  return messages.map(({ kind }) => {
    const found = Object.entries(WatchEventKind).find(([, value]) => value === kind);
    return String(found?.[0]).toLowerCase();
  });
}
