/** Before and after each file of end-to-end tests: no secret that it used may be in what servers printed. */
import { OutgoingMessage } from 'node:http';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';

import { afterAll, expect } from 'vitest';

import { leaked, overhearHeaders, overhearText, overhearSecret, secretsIn } from './overheard.ts';

const send = globalThis.fetch;

globalThis.fetch = async (input, init) => {
  overhearHeaders(Object.fromEntries(new Headers(init?.headers)));
  if (typeof init?.body === 'string') overhearBody(init.body);
  const answer = await send(input, init);
  const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
  if (isJson && answer.ok) overhearBody(await answer.clone().text());
  return answer;
};

/** Calls of the client in TypeScript, and of others in this process. */
const prototype = OutgoingMessage.prototype as {
  setHeader: (this: OutgoingMessage, name: string, value: unknown) => OutgoingMessage;
};
const { setHeader } = prototype;
prototype.setHeader = function (name, value) {
  overhearHeaders({ [name]: value });
  return setHeader.call(this, name, value);
};

/** Calls over gRPC. */
const connect = http2.connect.bind(http2) as (...args: unknown[]) => http2.ClientHttp2Session;
http2.connect = (...args: unknown[]) => {
  const session = connect(...args);
  const request = session.request.bind(session);
  session.request = (headers, options) => {
    overhearHeaders(Object.fromEntries(Object.entries(headers ?? {})));
    return request(headers, options);
  };
  return session;
};
syncBuiltinESMExports();

function overhearBody(body: string): void {
  overhearText(body);
  try {
    for (const secret of secretsIn(JSON.parse(body))) overhearSecret(secret);
  } catch {
    // Not everything that is sent is JSON.
  }
}

afterAll(() => {
  expect(leaked()).toEqual([]);
});
