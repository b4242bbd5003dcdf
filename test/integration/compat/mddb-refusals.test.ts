import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { refusedCallers } from '../../support/doors.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ROUTES = [
  ...[
    ['POST', '/register', 'administrators'],
    ['GET', '/users', 'administrators'],
  ],
  ...[
    ['DELETE', '/users/x', 'administrators'],
    ['GET', '/permissions?username=x', 'administrators'],
  ],
  ...[
    ['POST', '/permissions', 'administrators'],
    ['GET', '/groups', 'administrators'],
  ],
  ...[
    ['POST', '/groups', 'administrators'],
    ['GET', '/groups/x', 'administrators'],
  ],
  ...[
    ['PUT', '/groups/x', 'administrators'],
    ['DELETE', '/groups/x', 'administrators'],
  ],
  ...[
    ['GET', '/group-permissions?group=x', 'administrators'],
    ['POST', '/group-permissions', 'administrators'],
  ],
  ...[
    ['POST', '/api-key', 'callers'],
    ['GET', '/api-keys', 'callers'],
  ],
  ...[
    ['DELETE', '/api-keys/x', 'callers'],
    ['GET', '/me', 'callers'],
  ],
] as const;

/** Sound payloads, so that nothing but the caller is at fault. */
const SOUND = {
  ...{ username: 'x', password: 'seven wet sparrows', collection: 'a', groupName: 'x', name: 'x' },
  ...{ description: 'd', read: true },
};

describe('every route', () => {
  it('refuses who may not call, whatever the payload', async () => {
    const clock = createManualClock();
    await using own = await startTestServer({}, { clock });
    const callers = await refusedCallers(own, clock);
    for (const [method, path, isFor] of ROUTES) {
      for (const { why, headers } of callers) {
        if (why === 'wrong scope' && isFor === 'callers') continue;
        const sends = method === 'POST' || method === 'PUT';
        for (const body of sends ? [SOUND, '{', '[]'] : [undefined]) {
          const sent = body === undefined ? { headers } : { headers, body };
          const answer = await own.request(method, `/v1/auth${path}`, sent);
          expect([method, path, why, answer.status, answer.body]).toEqual([
            ...[method, path, why],
            ...(why === 'wrong scope' ? [403, { error: 'admin access required' }] : []),
            ...(why === 'no token' ? [401, { error: 'missing authentication' }] : []),
            ...(['wrong scope', 'no token'].includes(why) ? [] : [401, { error: 'invalid token' }]),
          ]);
        }
      }
    }
  });

  it('refuses other methods, from whoever could call', async () => {
    for (const [method, path] of [['GET', '/login'], ...ROUTES] as const) {
      const plain = path.split('?')[0] ?? '';
      const answer = await server.asRoot('PATCH', `/v1/auth${plain}`);
      expect([method, path, answer.status, answer.body]).toEqual([
        ...[method, path, 405, { error: 'method not allowed' }],
      ]);
      expect(answer.headers.get('allow')).toMatch(/GET|POST|DELETE/);
      const anonymous = await server.request('PATCH', `/v1/auth${plain}`);
      expect([path, anonymous.status]).toEqual([path, path === '/login' ? 405 : 401]);
    }
  });

  it('names the kind of credential that is not valid', async () => {
    for (const [headers, error] of [
      [{ authorization: 'Basic eDp5' }, 'missing authentication'],
      [{ authorization: 'Bearer x' }, 'invalid token'],
      [{ authorization: 'Bearer mddb_live_00' }, 'invalid api key'],
      [{ authorization: 'Bearer mk_live_00' }, 'invalid api key'],
      [{ 'x-api-key': 'x' }, 'invalid api key'],
    ] as const) {
      const answer = await server.request('GET', '/v1/auth/me', { headers });
      expect([answer.status, answer.body]).toEqual([401, { error }]);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  it('is bounded in bytes and in calls', async () => {
    const body = `{"username":"${'x'.repeat(2 * 1024 * 1024)}"}`;
    const large = await server.request('POST', '/v1/auth/login', { body });
    expect([large.status, large.body]).toEqual([413, { error: 'request body too large' }]);
    await using slow = await startTestServer({ rateLimit: { requests: 1, windowMs: 60_000 } });
    await slow.request('POST', '/v1/auth/login', { body: ROOT });
    const answer = await slow.request('POST', '/v1/auth/login', { body: ROOT });
    expect([answer.status, answer.body]).toEqual([429, { error: 'rate limit exceeded' }]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('leaves the path of another system alone', async () => {
    expect((await server.request('POST', '/v1/auth', { body: {} })).status).toBe(404);
  });
});
