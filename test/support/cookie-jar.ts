import { expect } from 'vitest';

import { ROOT, type TestResponse, type TestServer } from './server.ts';

/** A browser of one test: keeps cookies and says where its page comes from. */
export interface CookieJar {
  /** Cookies by name. */
  readonly cookies: ReadonlyMap<string, string>;
  /** The whole `set-cookie` headers of the last answer that had any. */
  readonly lines: readonly string[];
  /** What GET /session and its like said last. */
  csrfToken: string;
  send(method: string, path: string, sent?: Sent): Promise<TestResponse>;
  /** Signs the root user in. */
  signIn(): Promise<TestResponse>;
}

/** What a page sends; `csrf` false leaves the header out. */
export interface Sent {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly csrf?: boolean;
}

/** Opens a browser whose page was loaded from the server. */
export function openCookieJar(server: TestServer): CookieJar {
  const cookies = new Map<string, string>();
  const jar = {
    cookies,
    lines: [] as readonly string[],
    csrfToken: '',
    async send(method: string, path: string, { body, headers = {}, csrf = true }: Sent = {}) {
      const answer = await server.request(method, path, {
        ...(body === undefined ? {} : { body }),
        headers: {
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...(method === 'GET' ? { 'sec-fetch-site': 'same-origin' } : { origin: server.url }),
          ...(csrf && jar.csrfToken !== '' ? { 'x-csrf-token': jar.csrfToken } : {}),
          ...headers,
        },
      });
      keep(answer.headers.getSetCookie());
      if (typeof answer.body?.csrfToken === 'string') jar.csrfToken = answer.body.csrfToken;
      return answer;
    },
    async signIn() {
      const answer = await jar.send('POST', '/session', { body: ROOT });
      expect(answer.status).toBe(200);
      return answer;
    },
  };
  function keep(lines: readonly string[]): void {
    if (lines.length > 0) jar.lines = lines;
    for (const line of lines) {
      const [pair = ''] = line.split(';', 1);
      const at = pair.indexOf('=');
      if (line.includes('Max-Age=0')) cookies.delete(pair.slice(0, at));
      else cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }
  return jar;
}
