/**
 * Every route beside those of the contract, for every kind of caller that must be refused. Which there are
 * is asked of the server: one without a row here fails.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { mountedRoutes } from '../../support/mounted-routes.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { refusedCallers, type RefusedCallers } from './refused-callers.ts';
import { login, makeUser } from './team.ts';

/** A route that asks who calls. */
interface Row {
  /** What each parameter of the path stands for. Absent: `x`. */
  readonly path?: string;
  /** A sound payload, so that nothing but the caller is at fault. */
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whom of those with a sound credential it refuses: by the scope it demands, or nobody. */
  readonly refuses: 'all' | 'all but parts' | 'nobody';
}

const THINGS = { collection: 'things' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const USER = { username: 'x', password: 'seven wet sparrows' };
const all = 'all';

const ROWS: Readonly<Record<string, Row>> = {
  'POST /auth/delegate': {
    ...{ body: { client_id: 'x', scopes: ['read:things:*'] }, refuses: all },
  },
  // Refreshing takes any token that is refreshed at all; figures are of what the caller may see.
  'POST /auth/refresh': { body: {}, refuses: 'nobody' },
  'GET /stats': { refuses: 'nobody' },
  'POST /stats': { body: {}, refuses: 'nobody' },
  'DELETE /auth/tokens/:jti': { body: {}, refuses: all },
  'POST /set': { body: { ...THINGS, data: { k1: { n: 1 } } }, refuses: all },
  'POST /update': { body: { ...THINGS, data: { k1: { n: 1 } } }, refuses: all },
  'POST /get': { body: { ...THINGS, keys: 'k1' }, refuses: all },
  'POST /delete': { body: { ...THINGS, keys: 'k1' }, refuses: all },
  'POST /schema': { body: { ...THINGS, schema: {} }, refuses: all },
  'POST /snapshot': { body: {}, refuses: all },
  'GET /collections/:collection': { path: '/collections/things', refuses: 'all but parts' },
  'GET /collections/:collection/docs/:key': { path: '/collections/things/docs/k1', refuses: all },
  'POST /analytics': {
    ...{ body: { ...THINGS, metric: { type: 'COUNT' } }, refuses: 'all but parts' },
  },
  'GET /system/metrics': { refuses: all },
  'GET /v1/watch': {
    ...{ path: '/v1/watch?collection=things', headers: { accept: 'text/event-stream' } },
    refuses: 'all but parts',
  },
  'POST /v1/auth/register': { body: USER, refuses: all },
  'GET /v1/auth/users': { refuses: all },
  'DELETE /v1/auth/users/:username': { refuses: all },
  'GET /v1/auth/permissions': { path: '/v1/auth/permissions?username=x', refuses: all },
  'POST /v1/auth/permissions': { body: { ...USER, ...THINGS, read: true }, refuses: all },
  'GET /v1/auth/groups': { refuses: all },
  'POST /v1/auth/groups': { body: { name: 'x', description: 'd' }, refuses: all },
  'GET /v1/auth/groups/:name': { refuses: all },
  'PUT /v1/auth/groups/:name': { body: { description: 'd' }, refuses: all },
  'DELETE /v1/auth/groups/:name': { refuses: all },
  'GET /v1/auth/group-permissions': { path: '/v1/auth/group-permissions?group=x', refuses: all },
  'POST /v1/auth/group-permissions': {
    ...{ body: { groupName: 'x', ...THINGS, read: true }, refuses: all },
  },
  'POST /v1/auth/api-key': { body: { description: 'd' }, refuses: 'nobody' },
  'GET /v1/auth/api-keys': { refuses: 'nobody' },
  'DELETE /v1/auth/api-keys/:keyHash': { refuses: 'nobody' },
  'GET /v1/auth/me': { refuses: 'nobody' },
  'POST /v1/auth/me': { body: {}, refuses: 'nobody' },
  'GET /api/v1/auth/me': { refuses: 'nobody' },
  'GET /api/v1/auth/session': { refuses: 'nobody' },
  'POST /oauth2/introspect': { headers: FORM, refuses: all },
};

/** Routes for everybody: to sign in, to show and end what is shown, and to look at the server. */
const PUBLIC: readonly string[] = [
  ...['POST /login', 'POST /v1/auth/login', 'POST /api/v1/auth/login'],
  ...['POST /api/v1/auth/mfa/verify', 'POST /api/v1/auth/logout', 'POST /oauth2/revoke'],
  ...['GET /session', 'POST /session', 'POST /session/refresh', 'DELETE /session'],
  ...['GET /.well-known/jwks.json', 'GET /.well-known/oauth-authorization-server'],
  ...['GET /system/health', 'GET /healthz', 'GET /readyz', 'GET /version'],
  ...['GET /docs', 'GET /docs/reference.js', 'GET /openapi.json'],
];

let server: TestServer;
let callers: RefusedCallers;

beforeAll(async () => {
  const clock = createManualClock();
  server = await startTestServer({}, { clock });
  callers = await refusedCallers(server, clock);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function ask(name: string, row: Row, token?: string): Promise<number> {
  const [method = '', url = ''] = name.split(' ');
  const { path = url.replaceAll(/:\w+/g, 'x'), body, headers = {} } = row;
  const content = headers === FORM ? { body: 'token=x' } : body === undefined ? {} : { body };
  const proof = token === undefined ? {} : { token };
  return (await server.request(method, path, { ...content, ...proof, headers })).status;
}

describe('the routes of the server', () => {
  it('are these and no others', async () => {
    expect(await mountedRoutes()).toEqual([...Object.keys(ROWS), ...PUBLIC].sort());
  });

  it.each(Object.entries(ROWS))('%s refuses whoever may not call', async (name, row) => {
    expect(await ask(name, row)).toBe(401);
    for (const [why, token] of callers.broken) {
      expect([why, await ask(name, row, token)]).toEqual([why, 401]);
    }
    for (const [why, token] of callers.narrow) {
      if (row.refuses === 'nobody') continue;
      // Lists, figures and watches show what is covered.
      if (row.refuses === 'all but parts' && why === 'of another key') continue;
      expect([why, await ask(name, row, token)]).toEqual([why, 403]);
    }
  });

  it('tell everybody without a token that the server is well', async () => {
    for (const path of ['/system/health', '/healthz', '/readyz', '/version']) {
      expect([path, (await server.request('GET', path)).status]).toEqual([path, 200]);
    }
  });

  it('of MDDB neither show nor end a key of another user', async () => {
    const scopes = ['read:things:*'];
    for (const name of ['kim', 'lee']) await makeUser(server, name, { scopes });
    const [kim, lee] = [await login(server, 'kim'), await login(server, 'lee')];
    const body = { description: 'of kim' };
    const made = await server.request('POST', '/v1/auth/api-key', { token: kim.token, body });
    const headers = { 'x-api-key': String(made.body.key) };
    const mine = await server.request('GET', '/v1/auth/api-keys', { token: kim.token });
    const id = String(mine.body.keys[0].keyHash);
    const others = await server.request('GET', '/v1/auth/api-keys', { token: lee.token });
    expect(others.body.keys).toEqual([]);
    const end = (key: string): Promise<number> =>
      ask('DELETE /v1/auth/api-keys/:keyHash', { path: key, refuses: all }, lee.token);
    const path = `/v1/auth/api-keys/${id}`;
    expect(await end(path)).toBe(await end('/v1/auth/api-keys/unknown'));
    expect((await server.request('GET', '/v1/auth/me', { headers })).status).toBe(200);
  });
});
