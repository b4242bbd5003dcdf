/** What is logged of calls, and that no secret ever is, at the level that logs the most. */
import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { createLogger } from '../../../src/platform/logger.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { secretsIn } from '../../support/overheard.ts';
import { ROOT, startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { PASSWORD } from '../access/team.ts';

interface Log {
  readonly lines: readonly string[];
  readonly logger: ReturnType<typeof createLogger>;
  /** Lines with a message, parsed. */
  of(message: string): readonly Readonly<Record<string, unknown>>[];
}

function openLog(): Log {
  const lines: string[] = [];
  return {
    lines,
    logger: createLogger({ level: 'debug', destination: { write: (line) => lines.push(line) } }),
    of: (message) =>
      lines
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
        .filter(({ msg }) => msg === message),
  };
}

describe('members of what is logged', () => {
  const SECRET = 'nobody-is-to-read-this';

  /** `value` below so many members. */
  function below(depth: number, value: unknown): Readonly<Record<string, unknown>> {
    return { inner: depth === 1 ? value : below(depth - 1, value) };
  }

  it.each([
    ...[
      'password',
      'rootPassword',
      'storagePassword',
      'bindPassword',
      'encryptionKey',
      'jwtSecret',
    ],
    ...['previousJwtSecrets', 'token', 'accessToken', 'refresh_token', 'recoveryCodes', 'otp'],
    ...['authorization', 'Authorization', 'AUTHORIZATION', 'Proxy-Authorization', 'challenge'],
    ...['Cookie', 'set-cookie', 'Set-Cookie', 'x-api-key', 'X-API-Key', 'apiKey', 'privateKey'],
    ...['passwordHash', 'secretKey', 'accessKey', 'AWS_SECRET_ACCESS_KEY', 'signingKeys'],
    ...['tokenValue', 'pwd', 'userPwd', 'totp', 'totpSecret', 'jwt', 'serviceJwt'],
  ])('that are called %s are not written, however deep they are', (name) => {
    const log = openLog();
    for (const value of [SECRET, [SECRET], { value: SECRET }]) {
      log.logger.info('direct', { [name]: value, beside: 'told' });
      for (const depth of [1, 2, 3, 4, 5, 6, 7]) {
        log.logger.warn('below', below(depth, { [name]: value, beside: 'told' }));
        log.logger.error('in a list', below(depth, [{ [name]: value, beside: 'told' }]));
      }
    }
    expect(log.lines.filter((line) => line.includes(SECRET))).toEqual([]);
    expect(log.of('direct')).toHaveLength(3);
    expect(log.of('direct')[0]).toMatchObject({ [name]: '[redacted]', beside: 'told' });
    expect(log.of('below')[5]).toMatchObject(below(6, { [name]: '[redacted]', beside: 'told' }));
  });

  it('are not written beyond a depth, nor for ever', () => {
    const log = openLog();
    const circle: Record<string, unknown> = { n: 1 };
    circle['self'] = circle;
    log.logger.info('a circle', { circle, deep: below(40, SECRET) });
    expect(log.lines.join('')).not.toContain(SECRET);
    expect(log.of('a circle')[0]).toMatchObject({ circle: { n: 1, self: { n: 1 } } });
  });

  it('are written when they are no secret', () => {
    const log = openLog();
    const fields = {
      ...{ tokenId: 'id', keys: ['a'], key: 'b', count: 2, isOpen: false, none: null },
      ...{ at: new Date(0), error: new TypeError('wrong'), id: 12n },
      ...{
        tokenAlgorithm: 'HS256',
        passwordMinLength: 12,
        hotpath: 1,
        needsRestart: ['jwt-secret'],
      },
    };
    log.logger.info('all', fields);
    expect(log.of('all')[0]).toMatchObject({
      ...{ tokenId: 'id', keys: ['a'], key: 'b', count: 2, isOpen: false, none: null },
      ...{ at: '1970-01-01T00:00:00.000Z', error: 'TypeError: wrong', id: 12 },
      ...{
        tokenAlgorithm: 'HS256',
        passwordMinLength: 12,
        hotpath: 1,
        needsRestart: ['jwt-secret'],
      },
    });
  });

  it('do not throw at who logs them, and what else there is to tell is told', () => {
    const log = openLog();
    const broken = (): never => {
      throw new Error('not readable');
    };
    const fields = {
      ...{ beside: 'told', json: { toJSON: broken }, list: ['told', { toJSON: broken }] },
      inner: Object.defineProperty({ beside: 'told' }, 'broken', { enumerable: true, get: broken }),
      error: Object.defineProperty(new Error(), 'message', { get: broken }),
    };
    // A name that the library looks at itself.
    Object.defineProperty(fields, 'method', { enumerable: true, get: broken });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      log.logger[level]('broken', fields);
    }
    expect(log.of('broken')).toHaveLength(4);
    expect(log.of('broken')[0]).toMatchObject({
      ...{ beside: 'told', json: '[unreadable]', list: ['told', '[unreadable]'] },
      ...{ inner: { beside: 'told', broken: '[unreadable]' }, error: '[unreadable]' },
      method: '[unreadable]',
    });
  });
});

describe('the log of requests', () => {
  it('tells which call, by which door, whose, how it ended and how long it took', async () => {
    const log = openLog();
    await using server = await startTestServer({}, { logger: log.logger });
    const headers = { 'x-request-id': 'the-request' };
    const token = await server.rootToken();
    await server.request('GET', '/v1/status', { token, headers });
    await server.request('GET', '/v1/status', { headers });
    expect(log.of('call succeeded').at(-1)).toMatchObject({
      ...{ level: 'debug', requestId: 'the-request', method: 'molten.v1.SystemService/GetStatus' },
      ...{ protocol: 'rest', code: 'ok', subject: 'root', address: '127.0.0.1' },
      durationMs: expect.any(Number) as number,
    });
    const failed = log.of('call failed').at(-1);
    expect(failed).toMatchObject({
      ...{ level: 'info', requestId: 'the-request', code: 'unauthenticated' },
      reason: 'CREDENTIAL_MISSING',
    });
    expect(failed).not.toHaveProperty('subject');
  });
});

describe('the log of slow queries', () => {
  it('tells how a query ran and what it looked at, and no value', async () => {
    const log = openLog();
    // Below what any query takes: all of them are slow.
    await using server = await startTestServer({ slowQueryMs: 0.000_001 }, { logger: log.logger });
    const path = '/v1/collections/things';
    for (const n of [1, 2, 3]) {
      const body = { body: { fields: { n, name: 'the stored value' } } };
      await server.asRoot('PUT', `${path}/documents/k${String(n)}`, body);
    }
    const query = { where: { name: { $eq: 'the stored value' } } };
    const { status } = await server.asRoot('POST', `${path}/documents:query`, { query });
    expect(status).toBe(200);
    expect(log.of('slow query').at(-1)).toMatchObject({
      ...{ level: 'warn', rpc: 'QueryDocuments', collection: 'things', subject: 'root' },
      ...{ plan: 'scan', examined: 3, returned: 3, requestId: expect.any(String) as string },
    });
    await server.asRoot('POST', `${path}/documents:aggregate`, {
      metrics: [{ name: 'all', kind: 'COUNT' }],
    });
    expect(log.lines.join('')).not.toContain('the stored value');
  });

  it('is silent when it is off, and below its bound', async () => {
    const log = openLog();
    for (const slowQueryMs of [0, 3_600_000]) {
      await using server = await startTestServer({ slowQueryMs }, { logger: log.logger });
      await server.asRoot('PUT', '/v1/collections/things/documents/a', { body: { fields: {} } });
      await server.asRoot('POST', '/v1/collections/things/documents:query', {});
    }
    expect(log.of('slow query')).toEqual([]);
  });
});

describe('secrets', () => {
  it('never reach the log, whatever is done with them', async () => {
    const log = openLog();
    const clock = createManualClock();
    await using server = await startTestServer({}, { logger: log.logger, clock });
    const secrets = new Set([ROOT.password, PASSWORD, testConfig('').jwtSecret]);
    await useEverything(spyOn(server, secrets), clock);
    expect(secrets.size).toBeGreaterThan(25);
    expect(log.lines.length).toBeGreaterThan(25);
    const text = log.lines.join('');
    expect([...secrets].filter((secret) => text.includes(secret))).toEqual([]);
  });
});

type Ask = (
  method: string,
  path: string,
  options?: { readonly body?: unknown; readonly token?: string },
) => Promise<Readonly<Record<string, unknown>>>;

/** Remembers every secret that is sent or answered. */
function spyOn(server: TestServer, secrets: Set<string>): Ask {
  return async (method, path, options = {}) => {
    const { body } = await server.request(method, path, options);
    const all = [...secretsIn(options.body), ...secretsIn(body), ...secretsIn(options, 'options')];
    for (const secret of all) secrets.add(secret);
    return (body ?? {}) as Readonly<Record<string, unknown>>;
  };
}

async function useEverything(ask: Ask, clock: ReturnType<typeof createManualClock>): Promise<void> {
  const { token: root, refreshToken } = await ask('POST', '/v1/sessions', { body: ROOT });
  const token = String(root);
  await ask('POST', '/v1/sessions', { body: { ...ROOT, password: 'a wrong password' } });
  await ask('POST', '/v1/sessions:refresh', { body: { refreshToken } });
  await ask('POST', '/v1/sessions:refresh', { body: { refreshToken } });
  await ask('POST', '/v1/sessions:refresh', { body: { refreshToken: 'no-refresh-token' } });
  const fresh = String((await ask('POST', '/v1/sessions', { body: ROOT }))['token']);
  await ask('POST', '/v1/users', {
    body: { name: 'ada', scopes: ['read:things:*'], password: PASSWORD },
    token: fresh,
  });
  const ada = String(
    (await ask('POST', '/v1/sessions', { body: { username: 'ada', password: PASSWORD } }))['token'],
  );
  await useTokens(ask, fresh);
  await useSecondFactor(ask, ada, clock);
  await ask('GET', '/v1/status', { token });
  await ask('GET', '/v1/status', { token: 'mk_not-a-key-at-all' });
  await ask('GET', '/v1/status', { token: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.' });
  await ask('POST', '/v1/setup', {
    body: { setupToken: 'some-setup-token', password: 'new-pass-word' },
  });
  const body = { currentPassword: PASSWORD, newPassword: 'another long password for ada' };
  await ask('POST', '/v1/profile:changePassword', { body, token: ada });
  await ask('POST', '/v1/sessions', { body: '{"password":"unreadable-password-body"' });
}

async function useTokens(ask: Ask, token: string): Promise<void> {
  const delegated = await ask('POST', '/v1/tokens', {
    ...{ body: { clientId: 'a-client', scopes: ['read:things:*'] }, token },
  });
  const shown = { token: delegated['token'] };
  await ask('POST', '/v1/tokens:refresh', { body: {}, token: String(delegated['token']) });
  await ask('POST', '/v1/tokens:introspect', { body: shown, token });
  await ask('POST', '/v1/tokens:revokeShown', { body: shown });
  await ask('GET', '/v1/collections/things/documents', { token: String(delegated['token']) });
  const made = await ask('POST', '/v1/apiKeys', {
    ...{ body: { description: 'a key', environment: 'test', scopes: ['read:things:*'] }, token },
  });
  expect(made['text']).toMatch(/^mk_/);
  for (const secret of secretsIn(made)) {
    await ask('GET', '/v1/collections/things/documents', { token: secret });
  }
}

async function useSecondFactor(
  ask: Ask,
  token: string,
  clock: ReturnType<typeof createManualClock>,
): Promise<void> {
  const path = '/v1/profile/secondFactor';
  const offered = await ask('POST', path, { token, body: { password: PASSWORD } });
  const totp = new TOTP({ secret: Secret.fromBase32(String(offered['secret'])) });
  const code = (): string => totp.generate({ timestamp: clock.now() });
  const confirmed = await ask('POST', `${path}:confirm`, { token, body: { code: code() } });
  const [recoveryCode] = confirmed['recoveryCodes'] as readonly string[];
  clock.advance(60_000);
  for (const shown of ['918273', code(), String(recoveryCode)]) {
    const body = { username: 'ada', password: PASSWORD };
    const { challenge } = await ask('POST', '/v1/sessions', { body });
    await ask('POST', '/v1/sessions:answer', { body: { challenge, code: shown } });
  }
}
