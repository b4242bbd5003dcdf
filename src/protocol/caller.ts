import {
  create,
  type DescMethod,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';

import type { CallOrigin } from './call.ts';
import type { Dispatcher } from './dispatcher.ts';

/** Calls unary RPCs for one request of a door that speaks another system's shapes. */
export interface Caller {
  call<M extends DescMethod>(
    method: M,
    input: MessageInitShape<M['input']>,
  ): Promise<MessageShape<M['output']>>;
}

/** A caller whose calls go the way of all calls, as coming from `origin`. */
export function createCaller(dispatcher: Dispatcher, origin: CallOrigin): Caller {
  return {
    async call<M extends DescMethod>(method: M, input: MessageInitShape<M['input']>) {
      const message: Message = create(method.input, input);
      // A unary method answers with its output.
      return (await dispatcher.dispatch(method, message, origin)) as MessageShape<M['output']>;
    },
  };
}

/** The same origin with other values of some headers, by lower-case name; undefined: not sent. */
export function withHeaders(
  origin: CallOrigin,
  headers: Readonly<Record<string, string | undefined>>,
): CallOrigin {
  const { protocol, requestId, address, isCounted = false } = origin;
  return {
    ...{ protocol, requestId, address, isCounted },
    get signal() {
      return origin.signal;
    },
    get timeoutMs() {
      return origin.timeoutMs;
    },
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : origin.header(name)),
    disconnect: () => {
      origin.disconnect();
    },
    announce: (standing) => {
      origin.announce?.(standing);
    },
  };
}
