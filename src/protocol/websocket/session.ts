/**
 * One WebSocket connection. MoltenDB's frames come first: `AUTH`, then one frame per changed document
 * that the token may read. Beside that feed, or instead of it, a client subscribes to watches of its
 * own, each with the powers of WatchService; for these a header of the handshake is enough. Every one of
 * them is a call like all others: authenticated, authorised and bounded by the same interceptors.
 */
import { create, type Message } from '@bufbuild/protobuf';

import { AuthService, WhoAmIRequestSchema } from '../../../gen/molten/v1/auth_pb.ts';
import { WatchService, type WatchResponse } from '../../../gen/molten/v1/watch_pb.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { isAboutCredential } from '../../errors/reason.ts';
import type { CallOrigin } from '../call.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { toProblem, toWireError } from '../mapping/error.ts';
import { eventName, parseWatchRequest, toWatchJson } from '../mapping/watch-json.ts';
import { createWindow, type Window } from './acknowledgements.ts';
import {
  isFrame,
  parseFrame,
  UNACKNOWLEDGED_MAX,
  type ClientFrame,
  type FrameFailure,
} from './client-frame.ts';
import { codeOf, failure, invalid, notAcknowledged, tooManySubscriptions } from './failures.ts';
import { feedFrames, type FeedFrame } from './feed-frames.ts';

/** The connection as a session sees it. */
export interface Channel {
  readonly requestId: string;
  readonly address: string;
  /** One header of the handshake, by lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** Counts a frame against the address, as a request; the refusal of one beyond its limit. */
  count(): DomainError | undefined;
  /** The refusal of a call that is turned away; undefined: come in. */
  admit(): DomainError | undefined;
  /** Resolves when the frame has left this process, or the connection is closed. */
  send(frame: object): Promise<void>;
  /** Closes after what was sent; a status code of RFC 6455 section 7.4. */
  close(code: number): void;
  /** Cuts the connection. */
  terminate(): void;
}

/** A session; the connection hands it what arrives. */
export interface Session {
  /** Authenticates by the headers of the handshake, when they hold a credential. Before any frame. */
  begin(): Promise<void>;
  /** One text frame; undefined for a frame that is no text. */
  receive(text: string | undefined): Promise<void>;
  readonly isAuthenticated: boolean;
  /** Looks whether what proves the caller still holds, and closes the connection when it does not. */
  recheck(): Promise<void>;
  /** Tells that the server stops, when the watches of the connection have ended, and closes it. */
  stop(): Promise<void>;
  /** The connection is closed. */
  closed(): void;
}

/** Subscriptions of one connection. */
const SUBSCRIPTIONS_MAX = 100;

const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

interface Subscription {
  readonly abort: AbortController;
  /** Lets the next message pass, when acknowledgements are asked for. */
  acknowledged(resumeToken: string): void;
}

/** Headers that prove who calls. */
type Proof = Readonly<Partial<Record<string, string>>>;

/** Where programs show a credential. */
const CREDENTIALS = ['authorization', 'x-api-key'];

/** What a session cookie is judged by. */
const COOKIE = ['cookie', 'origin', 'host', 'sec-fetch-site'];

/** How a call ends from outside. */
type Lifetime = Pick<CallOrigin, 'signal' | 'disconnect'>;

/** Creates the session of a connection just opened. */
export function createSession(dispatcher: Dispatcher, channel: Channel): Session {
  return new DispatchingSession(dispatcher, channel);
}

class DispatchingSession implements Session {
  readonly #dispatcher: Dispatcher;
  readonly #channel: Channel;
  readonly #subscriptions = new Map<string, Subscription>();
  /** The watches that run, of subscriptions and of the feed. */
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #stopping = new AbortController();
  /** What proves the caller, once it is authenticated: headers of every call. */
  #proof: Proof | undefined;
  /** One AUTH frame is taken; the headers of the handshake are not it. */
  #hasAuthFrame = false;
  /** Messages that were sent and may still be acknowledged. */
  #acknowledgeable = 0;

  constructor(dispatcher: Dispatcher, channel: Channel) {
    this.#dispatcher = dispatcher;
    this.#channel = channel;
  }

  get isAuthenticated(): boolean {
    return this.#proof !== undefined;
  }

  async begin(): Promise<void> {
    const proof = this.#shown(CREDENTIALS);
    if (proof === undefined) return;
    const message = 'Authenticated by a header. SUBSCRIBE, or AUTH for every change.';
    await this.#admit(proof, async () => {
      await this.#channel.send({ status: 'authenticated', message });
    });
  }

  async receive(text: string | undefined): Promise<void> {
    const frame = parseFrame(text);
    const refusal = this.#refusalOf(frame);
    if (refusal !== undefined && !this.#isTakenBeyond(frame, refusal)) {
      await this.#tellRefusal(frame, refusal);
      return;
    }
    if ('error' in frame) {
      await this.#channel.send(frame);
      if (!this.isAuthenticated) this.#channel.close(POLICY_VIOLATION);
      return;
    }
    const isFirstAuth = frame.action === 'AUTH' && !this.#hasAuthFrame;
    if (this.isAuthenticated && !isFirstAuth) await this.#act(frame);
    else await this.#authenticate(frame);
  }

  async recheck(): Promise<void> {
    if (this.#proof === undefined) return;
    try {
      await this.#whoAmI(this.#proof);
    } catch (error) {
      // Anything else, such as too many calls from an address, says nothing of the caller.
      if (isAboutCredential(toWireError(error).reason)) await this.#refuse(error);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
    await this.#refuse(new DomainError('SHUTTING_DOWN', 'the server is going away; connect again'));
  }

  closed(): void {
    this.#closing.abort();
  }

  /** A frame is a request, whatever it says, but for an acknowledgement of each message. */
  #refusalOf(frame: ClientFrame | FrameFailure): DomainError | undefined {
    if (isFrame(frame, 'ACK') && this.#acknowledgeable > 0) {
      this.#acknowledgeable -= 1;
      return undefined;
    }
    const isCall = isFrame(frame, 'SUBSCRIBE') && this.isAuthenticated;
    return (isCall ? this.#channel.admit() : undefined) ?? this.#channel.count();
  }

  /** Ending a watch costs less than it goes on to cost; who is banned loses it with the connection. */
  #isTakenBeyond(frame: ClientFrame | FrameFailure, { metadata }: DomainError): boolean {
    if (!this.isAuthenticated || metadata['policy'] === 'ban') return false;
    return isFrame(frame, 'UNSUBSCRIBE');
  }

  /** Who is banned, or has not said who it is, is not listened to any more. */
  async #tellRefusal(frame: ClientFrame | FrameFailure, refusal: DomainError): Promise<void> {
    if (!this.isAuthenticated || refusal.metadata['policy'] === 'ban') await this.#refuse(refusal);
    else if (isFrame(frame, 'SUBSCRIBE')) await this.#tellProblem(frame.id, refusal);
    // With the id it would tell that the subscription failed, which goes on.
    else await this.#channel.send(failure(codeOf(refusal.reason), refusal.message));
  }

  async #authenticate(frame: ClientFrame): Promise<void> {
    if (frame.action !== 'AUTH') {
      const detail = `the first frame is '${frame.action}'; send {"action":"AUTH","token":"…"}`;
      await this.#fail('invalid_action', detail);
      return;
    }
    const proof = this.#proofOf(frame.token);
    if (proof === undefined) {
      await this.#fail('missing_token', 'the AUTH frame has no token');
      return;
    }
    await this.#admit(proof, async () => {
      this.#hasAuthFrame = true;
      // The feed runs before its caller is told that it does, so that nothing falls in between.
      const feed = frame.feed ? await this.#openFeed() : undefined;
      const message = 'Authenticated. Changes follow; SUBSCRIBE for more.';
      await this.#channel.send({ status: 'authenticated', message });
      if (feed !== undefined) this.#follow(this.#runFeed(feed));
    });
  }

  /** Goes on as whom the proof proves; closes the connection when it proves nobody. */
  async #admit(proof: Proof, goOn: () => Promise<void>): Promise<void> {
    try {
      await this.#whoAmI(proof);
      this.#proof = proof;
      await goOn();
    } catch (error) {
      await this.#refuse(error);
    }
  }

  /** The token of the frame; else a header; else the session cookie, and where it came from. */
  #proofOf(token: string): Proof | undefined {
    if (token !== '') return { authorization: `Bearer ${token}` };
    return this.#shown(CREDENTIALS) ?? this.#shown(COOKIE, ['cookie']);
  }

  /** These headers of the handshake, unless none of those that prove somebody is among them. */
  #shown(names: readonly string[], proving = names): Proof | undefined {
    const { header } = this.#channel;
    if (proving.every((name) => header(name) === undefined)) return undefined;
    return Object.fromEntries(names.map((name) => [name, header(name)]));
  }

  async #act(frame: ClientFrame): Promise<void> {
    switch (frame.action) {
      case 'AUTH':
        await this.#channel.send(failure('invalid_action', 'this connection is authenticated'));
        return;
      case 'SUBSCRIBE':
        await this.#subscribe(frame);
        return;
      case 'UNSUBSCRIBE':
        await this.#unsubscribe(frame.id);
        return;
      case 'ACK':
        this.#subscriptions.get(frame.id)?.acknowledged(frame.resumeToken);
    }
  }

  async #subscribe(frame: Extract<ClientFrame, { action: 'SUBSCRIBE' }>): Promise<void> {
    const { id } = frame;
    if (this.#subscriptions.has(id)) {
      await this.#tellProblem(id, invalid(`subscription '${id}' exists; choose another id`));
      return;
    }
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      await this.#tellProblem(id, tooManySubscriptions(SUBSCRIPTIONS_MAX));
      return;
    }
    const window = createWindow(frame.unacknowledgedMax);
    const abort = new AbortController();
    this.#subscriptions.set(id, { abort, acknowledged: window.acknowledged });
    this.#follow(this.#runSubscription(frame, { abort, window }));
  }

  #follow(watch: Promise<void>): void {
    this.#running.add(watch);
    void watch.finally(() => this.#running.delete(watch));
  }

  async #runSubscription(
    { id, request }: Extract<ClientFrame, { action: 'SUBSCRIBE' }>,
    { abort, window }: { readonly abort: AbortController; readonly window: Window },
  ): Promise<void> {
    try {
      const signal = AbortSignal.any([abort.signal, this.#closing.signal]);
      const unheld = AbortSignal.any([signal, this.#stopping.signal]);
      const tooSlow = (): void => {
        abort.abort();
        void this.#tellProblem(id, notAcknowledged());
      };
      const messages = await this.#watch(request, { signal, disconnect: tooSlow });
      for await (const message of messages) {
        // Before it is sent: it may be acknowledged before that is known here.
        this.#mayBeAcknowledged();
        const passed = window.passed(message.resumeToken, unheld);
        await this.#channel.send({ event: eventName(message), id, ...withoutKind(message) });
        await passed;
      }
    } catch (error) {
      if (!abort.signal.aborted) await this.#tellProblem(id, error);
    } finally {
      // Its id may belong to another one by now.
      if (this.#subscriptions.get(id)?.abort === abort) this.#subscriptions.delete(id);
    }
  }

  /** Bounded: most messages are never acknowledged, and each that may be takes a frame for nothing. */
  #mayBeAcknowledged(): void {
    const max = UNACKNOWLEDGED_MAX * this.#subscriptions.size;
    if (this.#acknowledgeable < max) this.#acknowledgeable += 1;
  }

  async #unsubscribe(id: string): Promise<void> {
    const found = this.#subscriptions.get(id);
    found?.abort.abort();
    this.#subscriptions.delete(id);
    await this.#channel.send({ event: 'unsubscribed', id });
  }

  async #openFeed(): Promise<AsyncIterator<WatchResponse> | undefined> {
    try {
      const messages = await this.#watch({ targets: [{}] }, this.#whole());
      const iterator = messages[Symbol.asyncIterator]();
      await iterator.next();
      return iterator;
    } catch (error) {
      // Who may read nothing is authenticated all the same, and hears nothing.
      if (error instanceof DomainError && error.reason === 'SCOPE_MISSING') return undefined;
      throw error;
    }
  }

  async #runFeed(messages: AsyncIterator<WatchResponse>): Promise<void> {
    try {
      for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
        for (const frame of feedFrames(next.value)) await this.#sendFeed(frame);
      }
    } catch (error) {
      await this.#refuse(error);
    }
  }

  async #sendFeed(frame: FeedFrame): Promise<void> {
    if (!this.#closing.signal.aborted) await this.#channel.send(frame);
  }

  async #watch(
    json: Readonly<Record<string, unknown>>,
    lifetime: Lifetime,
  ): Promise<AsyncIterable<WatchResponse>> {
    const request = parseWatchRequest(json);
    const origin = this.#origin(this.#proof ?? {}, lifetime);
    const result = await this.#dispatcher.dispatch(WatchService.method.watch, request, origin);
    // What a watch answers with is a stream of its responses.
    return result as AsyncIterable<Message> as AsyncIterable<WatchResponse>;
  }

  async #whoAmI(proof: Proof): Promise<void> {
    const origin = this.#origin(proof, this.#whole());
    await this.#dispatcher.dispatch(AuthService.method.whoAmI, create(WhoAmIRequestSchema), origin);
  }

  /** As long as the connection. */
  #whole(): Lifetime {
    return {
      signal: this.#closing.signal,
      disconnect: () => {
        this.#channel.terminate();
      },
    };
  }

  #origin(proof: Proof, { signal, disconnect }: Lifetime): CallOrigin {
    const { requestId, address } = this.#channel;
    return {
      ...{ protocol: 'websocket', requestId, address, signal, timeoutMs: undefined },
      header: (name) => proof[name],
      // The handshake and each frame were; what the server asks by itself is counted against nobody.
      ...{ isCounted: true, disconnect },
    };
  }

  /** Ends the connection for what ended its feed, in MoltenDB's own words where they exist. */
  async #refuse(error: unknown): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const known = error instanceof DomainError ? error : undefined;
    const code = codeOf(known?.reason);
    const isStopping = known?.reason === 'SHUTTING_DOWN';
    await this.#fail(code, known?.message ?? 'the server failed; see its log', {
      status: isStopping ? GOING_AWAY : POLICY_VIOLATION,
    });
  }

  async #fail(code: string, detail: string, { status = POLICY_VIOLATION } = {}): Promise<void> {
    await this.#channel.send(failure(code, detail));
    this.#channel.close(status);
  }

  async #tellProblem(id: string, error: unknown): Promise<void> {
    await this.#channel.send({
      ...{ event: 'error', id },
      error: toProblem(error, this.#channel.requestId),
    });
  }
}

function withoutKind(message: WatchResponse): object {
  const { kind: _kind, ...members } = toWatchJson(message);
  return members;
}
