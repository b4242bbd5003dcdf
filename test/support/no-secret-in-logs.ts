/** Before and after each file of end-to-end tests: no secret that it used may be in what servers printed. */
import { afterAll, expect } from 'vitest';

import { leaked, overhearSecret, overhearText, secretsIn } from './overheard.ts';

const CREDENTIAL_HEADERS = ['authorization', 'x-api-key', 'cookie', 'x-csrf-token'];
const send = globalThis.fetch;

globalThis.fetch = async (input, init) => {
  const headers = new Headers(init?.headers);
  for (const name of CREDENTIAL_HEADERS) {
    overhearSecret((headers.get(name) ?? '').replace(/^(Bearer|Basic) /i, ''));
  }
  if (typeof init?.body === 'string') overhearBody(init.body);
  const answer = await send(input, init);
  const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
  if (isJson && answer.ok) overhearBody(await answer.clone().text());
  return answer;
};

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
