import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

import type { ClientCertificate } from '../../../src/client/client.ts';

/** A server that is looked at. */
export interface Server {
  readonly url: string;
  /** For mutual TLS. */
  readonly certificate?: ClientCertificate | undefined;
}

/** What it answered. */
export interface Answer {
  readonly path: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** How long is waited for an answer, in milliseconds. */
export const TIMEOUT_MS = 10_000;
/** More of a body is not read. */
const BODY_CHARS_MAX = 1024 * 1024;

/** Asks for a path, on a connection of its own; fails with what kept it from being answered. */
export async function ask(
  server: Server,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await open(server, path, headers);
  const status = answer.statusCode ?? 0;
  // What a server changes to is read by nobody here.
  if (status === 101) answer.socket.destroy();
  let body = '';
  if (status !== 101) {
    for await (const text of answer.setEncoding('utf8') as AsyncIterable<string>) {
      body += text;
      if (body.length > BODY_CHARS_MAX) break;
    }
  }
  return { path, status, headers: answer.headers, body };
}

function open(
  { url, certificate }: Server,
  path: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const asked = send(new URL(path, url), { ...certificate, headers, signal, agent: false });
    asked.on('response', resolve).on('upgrade', resolve);
    asked.on('error', (error) => {
      const isLate = signal.aborted;
      const late = `no answer within ${String(TIMEOUT_MS / 1000)} s`;
      reject(isLate ? new Error(late, { cause: error }) : error);
    });
    asked.end();
  });
}
