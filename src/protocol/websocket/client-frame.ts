/** What a client says, checked. */
export type ClientFrame =
  | {
      readonly action: 'AUTH';
      readonly token: string;
      /** Also send MoltenDB's frame for every change the token may read. Default true. */
      readonly feed: boolean;
    }
  | {
      readonly action: 'SUBSCRIBE';
      readonly id: string;
      /** The members of a WatchRequest. */
      readonly request: Readonly<Record<string, unknown>>;
      /** Messages that may go unacknowledged; undefined: no acknowledgement is waited for. */
      readonly unacknowledgedMax: number | undefined;
    }
  | { readonly action: 'UNSUBSCRIBE'; readonly id: string }
  | { readonly action: 'ACK'; readonly id: string; readonly resumeToken: string };

/** Why a frame was not understood, in the words of MoltenDB. */
export interface FrameFailure {
  readonly error: 'invalid_message' | 'invalid_action';
  readonly detail: string;
}

const ID = /^[A-Za-z0-9_.:-]{1,64}$/;
/** Messages of one subscription that may go unacknowledged. */
export const UNACKNOWLEDGED_MAX = 1000;

/** Whether it is a frame, and of this action. */
export function isFrame<A extends ClientFrame['action']>(
  frame: ClientFrame | FrameFailure,
  action: A,
): frame is Extract<ClientFrame, { action: A }> {
  return 'action' in frame && frame.action === action;
}

/** Reads one frame; undefined stands for one that is no text. */
export function parseFrame(text: string | undefined): ClientFrame | FrameFailure {
  if (text === undefined) return failed('invalid_message', 'frames are JSON in text, not binary');
  const members = membersOf(text);
  if (members === undefined) return failed('invalid_message', 'the frame is not a JSON object');
  switch (members['action']) {
    case 'AUTH':
      return parseAuth(members);
    case 'SUBSCRIBE':
      return parseSubscribe(members);
    case 'UNSUBSCRIBE':
      return withId(members, (id) => ({ action: 'UNSUBSCRIBE', id }));
    case 'ACK':
      return withId(members, (id) => ({
        ...{ action: 'ACK', id },
        resumeToken: textOf(members['resumeToken']),
      }));
    default:
      return failed('invalid_action', 'action wants AUTH, SUBSCRIBE, UNSUBSCRIBE or ACK');
  }
}

type Members = Readonly<Record<string, unknown>>;

function parseAuth({ token, feed = true }: Members): ClientFrame | FrameFailure {
  if (typeof feed !== 'boolean') return failed('invalid_message', 'feed wants true or false');
  return { action: 'AUTH', token: textOf(token), feed };
}

function parseSubscribe(members: Members): ClientFrame | FrameFailure {
  const { action: _action, id: _id, maxUnacknowledged, ...request } = members;
  const isBound =
    typeof maxUnacknowledged === 'number' &&
    Number.isInteger(maxUnacknowledged) &&
    maxUnacknowledged >= 1 &&
    maxUnacknowledged <= UNACKNOWLEDGED_MAX;
  if (maxUnacknowledged !== undefined && !isBound) {
    const most = UNACKNOWLEDGED_MAX.toString();
    return failed('invalid_message', `maxUnacknowledged wants a whole number from 1 to ${most}`);
  }
  const unacknowledgedMax = isBound ? maxUnacknowledged : undefined;
  return withId(members, (id) => ({ action: 'SUBSCRIBE', id, request, unacknowledgedMax }));
}

/** An object cannot always be made a text: its `toString` may be a member of the frame. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function withId({ id }: Members, make: (id: string) => ClientFrame): ClientFrame | FrameFailure {
  if (typeof id === 'string' && ID.test(id)) return make(id);
  return failed('invalid_message', 'id wants 1 to 64 of A-Z, a-z, 0-9, "_", ".", ":" and "-"');
}

function membersOf(text: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Members) : undefined;
  } catch {
    return undefined;
  }
}

function failed(error: FrameFailure['error'], detail: string): FrameFailure {
  return { error, detail };
}
