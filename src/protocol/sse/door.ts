import { WatchService, type WatchRequest } from '../../../gen/molten/v1/watch_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { nearest } from '../../platform/nearest.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { createOrigin, type Door, type FastifyRequest } from '../http/door.ts';
import { parseWatchRequest } from '../mapping/watch-json.ts';
import { problemWords, sendProblem } from '../rest/problem.ts';
import { sendStream } from '../rest/stream.ts';

/** The path of watching by GET. */
export const WATCH_PATH = '/v1/watch';

type Reader = (value: string, name: string) => unknown;

const text: Reader = (value) => value;
const flag: Reader = (value, name) => {
  if (value === 'true' || value === 'false') return value === 'true';
  throw invalid(name, `is '${value}'; wants true or false`);
};
const json: Reader = (value, name) => {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    throw invalid(name, 'is not JSON; wants a filter such as {"price":{"$gt":10}}');
  }
};

/** Query parameters, each the member of a WatchRequest or of its only target. */
const PARAMETERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['collection', text],
  ['keyPrefix', text],
  ['where', json],
  ['afterSequence', text],
  ['resumeToken', text],
  ['initialState', flag],
  ['includePrevious', flag],
  ['fragment', flag],
]);
const LISTS: ReadonlyMap<string, string> = new Map([
  ['key', 'keys'],
  ['field', 'fields'],
]);

/**
 * Watching by GET, for browsers and `curl -N`: server-sent events when the caller accepts them, else one
 * JSON object a line. `Last-Event-ID`, which browsers send when they reconnect, wins over where the URL
 * says to start.
 */
export function createSseDoor({ dispatcher }: { readonly dispatcher: Dispatcher }): Door {
  const { watch } = WatchService.method;
  return (app) => {
    app.get(WATCH_PATH, { config: { words: problemWords } }, async (request, reply) => {
      try {
        const message = requestOf(request);
        const result = await dispatcher.dispatch(watch, message, createOrigin(request, 'sse'));
        if (!(Symbol.asyncIterator in result)) throw new Error('a watch answers with a stream');
        return await sendStream(watch, reply, result);
      } catch (error) {
        return await sendProblem(request, reply, error);
      }
    });
  };
}

function requestOf(request: FastifyRequest): WatchRequest {
  const members: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(request.query as Record<string, unknown>)) {
    const list = LISTS.get(name);
    const read = PARAMETERS.get(name);
    if (list !== undefined) members[list] = Array.isArray(value) ? value : [value];
    else if (read === undefined) throw unknownParameter(name);
    else if (typeof value !== 'string') throw invalid(name, 'is given more than once');
    else members[name] = read(value, name);
  }
  const lastEventId = request.headers['last-event-id'];
  if (typeof lastEventId === 'string' && lastEventId !== '') {
    delete members['afterSequence'];
    delete members['initialState'];
    members['resumeToken'] = lastEventId;
  }
  if (members['initialState'] === false) delete members['initialState'];
  return parseWatchRequest(members);
}

function unknownParameter(name: string): DomainError {
  const known = [...PARAMETERS.keys(), ...LISTS.keys()];
  const near = nearest(name, known);
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  return invalid(name, `is an unknown query parameter; ${hint}`);
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
