/**
 * Turns calls away under overload: before anything else, and for as little as HTTP/1.1 takes. At twice the capacity
 * half of what comes ends here, and what that costs is taken from those that are let in.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { FastifyContextConfig, FastifyInstance } from 'fastify';

import type { DomainError } from '../../errors/domain-error.ts';
import { soon } from '../../platform/timers.ts';
import { REQUEST_ID_HEADER, requestIdOf, type BriefWords } from './door.ts';
import { retryAfterOf } from './retry-after.ts';

/** What turning away needs to know. */
export interface TurnAwayOptions {
  /** The refusal of a request that is turned away; undefined: come in. */
  readonly admit: () => DomainError | undefined;
  /** On every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** The most a body may have. */
  readonly bodyBytesMax: number;
}

/** Asks for every request that is not vital whether it may come in. */
export interface TurnAway {
  /** Asks before there is a route for the request, where its section is enough to refuse it. True: it has been answered. */
  readonly atOnce: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Asks for all others; those that may not come in carry their refusal on. Before any route and any other hook. */
  readonly join: (app: FastifyInstance) => void;
  /** From now on answers are left to those who tell that the connection ends. */
  readonly leave: () => void;
}

/** Creates it. Sections are known when all doors have their routes. */
export function createTurnAway({ admit, bodyBytesMax, headers }: TurnAwayOptions): TurnAway {
  const common = Object.entries(headers).flat();
  const sections = createSections();
  /** Those that need more words than there are for their section. */
  const refused = new WeakMap<IncomingMessage, DomainError>();
  const end = createEnds();
  let hasLeft = false;

  function wordsFor(request: IncomingMessage): BriefWords | undefined {
    if (hasLeft || !isPlain(request, bodyBytesMax)) return undefined;
    return sections.wordsOf(request.url ?? '');
  }

  return {
    atOnce(request, response) {
      const words = wordsFor(request);
      const refusal = words === undefined ? undefined : admit();
      if (words === undefined || refusal === undefined) return false;
      const id = requestIdOf(request.headers[REQUEST_ID_HEADER]);
      const answer = words({ id, headers: request.headers }, refusal);
      if (answer === undefined) {
        refused.set(request, refusal);
        return false;
      }
      const { status, type, body } = answer;
      // Node throws away what is left of the request.
      response.writeHead(status, [
        ...common,
        ...[REQUEST_ID_HEADER, id, 'retry-after', retryAfterOf(refusal)],
        ...['content-type', type, 'content-length', String(Buffer.byteLength(body))],
      ]);
      end(response, body);
      return true;
    },
    join(app) {
      app.addHook('onRoute', ({ url, config }) => {
        sections.add(url, config);
      });
      app.addHook('onRequest', (request, _reply, done) => {
        const { raw, routeOptions } = request;
        if (wordsFor(raw) !== undefined) request.refusal = refused.get(raw);
        else if (routeOptions.config.isVital !== true) request.refusal = admit();
        done();
      });
    },
    leave() {
      hasLeft = true;
    },
  };
}

/** What is known of the routes of a section. */
interface Section {
  /** All of them are refused alike, and none is vital. */
  isUniform: boolean;
  words: BriefWords | undefined;
}

interface Sections {
  /** Undefined: which route it is must be known. */
  wordsOf(url: string): BriefWords | undefined;
  add(url: string, config: Partial<FastifyContextConfig> | undefined): void;
}

function createSections(): Sections {
  const known = new Map<string, Section>();
  return {
    wordsOf(url) {
      const section = known.get(sectionOf(url));
      return section?.isUniform === true ? section.words : undefined;
    },
    add(url, { isVital, words } = {}) {
      // A colon that begins no parameter is written twice.
      const name = sectionOf(url.replaceAll('::', ':'));
      const section = known.get(name) ?? { isUniform: true, words };
      known.set(name, section);
      section.words ??= words;
      section.isUniform &&= isVital !== true && (words ?? section.words) === section.words;
    },
  };
}

/** The first two parts of a path: an RPC of Connect, or a kind of resources such as `/v1/collections`. */
function sectionOf(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  const end = path.indexOf('/', path.indexOf('/', 1) + 1);
  return end === -1 ? path : path.slice(0, end);
}

/** Answers that wait to be ended together, at most: one connection may bring many requests in one turn. */
const TOGETHER_MAX = 64;

/**
 * Ends the answers of one turn of the event loop together: whoever takes them on the same machine, such as a proxy, is woken for all
 * of them, and not for each.
 */
function createEnds(): (response: ServerResponse, body: string) => void {
  const waiting: { readonly response: ServerResponse; readonly body: string }[] = [];
  const endAll = (): void => {
    for (const { response, body } of waiting.splice(0)) response.end(body);
  };
  return (response, body) => {
    waiting.push({ response, body });
    if (waiting.length === 1) soon(endAll);
    if (waiting.length >= TOGETHER_MAX) endAll();
  };
}

/** Of HTTP/1.1, not of a browser, which needs more headers, and with a body that is known to be of good size. */
function isPlain({ httpVersionMajor, headers }: IncomingMessage, bodyBytesMax: number): boolean {
  if (httpVersionMajor > 1 || headers.origin !== undefined) return false;
  if (headers['transfer-encoding'] !== undefined) return false;
  return Number(headers['content-length'] ?? 0) <= bodyBytesMax;
}
