/**
 * What knowing who calls costs: one authentication by each kind of credential, the same over HTTP beside a
 * call that needs none, a million revocations, logins while reads run, and the time of a login that fails.
 */
import { createAccess, type Access } from '../../src/domain/access/access.ts';
import { REVOCATIONS } from '../../src/domain/access/revocations.ts';
import type { TokenAlgorithm } from '../../src/domain/access/signing-keys.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { ROOT, startTestServer, testConfig, type TestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { measureHttp, report } from './measure.ts';

const CALLS = 20_000;
const FRESH_CALLS = 2000;
const REVOKED = 1_000_000;
const LOGINS = 40;

async function openAccess(engine: StorageEngine, tokenAlgorithm: TokenAlgorithm): Promise<Access> {
  const { access, jwtSecret, rootUser, rootPassword } = testConfig('');
  const rules = { ...access, jwtSecret, rootUser, rootPassword, tokenAlgorithm };
  return await createAccess({
    ...{ engine, clock: systemClock, rules },
    onSealClosed: () => undefined,
  });
}

async function loginTo({ signIns }: Access): Promise<string> {
  const context = { address: '127.0.0.1', client: 'bench', ttlMs: undefined };
  const result = await signIns.login(ROOT, context);
  if (result.kind !== 'signedIn') throw new Error('the login was challenged');
  return result.access.token;
}

/** A token five delegations deep. */
async function delegateDeep(access: Access, top: string): Promise<string> {
  let token = top;
  for (let depth = 0; depth < 5; depth++) {
    const principal = await access.authenticator.authenticate(bearer(token));
    const request = { clientId: 'x', scopes: ['read:c:*'], ttlMs: undefined, callsPerMinute: 0 };
    token = (await access.delegation.delegate(principal, request)).token;
  }
  return token;
}

function bearer(token: string): { readonly authorization: string; readonly apiKey: undefined } {
  return { authorization: `Bearer ${token}`, apiKey: undefined };
}

/** Microseconds of one authentication and one look at the scopes. */
async function timeOf(access: Access, token: string, calls: number): Promise<number> {
  const startMs = performance.now();
  for (let at = 0; at < calls; at++) {
    const principal = await access.authenticator.authenticate(bearer(token));
    principal.scopes.covers('read', 'c', 'k');
  }
  return ((performance.now() - startMs) / calls) * 1000;
}

/** Microseconds of verifying a token that was not seen before. */
async function timeFresh({ tokens }: Access, token: string): Promise<number> {
  const startMs = performance.now();
  for (let at = 0; at < FRESH_CALLS; at++) await tokens.verify(token);
  return ((performance.now() - startMs) / FRESH_CALLS) * 1000;
}

async function measureAuthentication(): Promise<void> {
  const rows: { readonly credential: string; readonly seen: string; readonly new: string }[] = [];
  const micro = (us: number): string => us.toFixed(1);
  for (const algorithm of ['HS256', 'EdDSA', 'ES256'] as const) {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({
      ...{ directory: directory.path, clock: systemClock },
    });
    const access = await openAccess(engine, algorithm);
    const token = await loginTo(access);
    const seen = micro(await timeOf(access, token, CALLS));
    rows.push({ credential: algorithm, seen, new: micro(await timeFresh(access, token)) });
    if (algorithm !== 'HS256') continue;
    const deep = await delegateDeep(access, token);
    rows.push({
      credential: 'HS256, five delegations deep',
      seen: micro(await timeOf(access, deep, CALLS)),
      new: micro(await timeFresh(access, deep)),
    });
    const principal = await access.authenticator.authenticate(bearer(token));
    const { text } = await access.apiKeyControl.create(principal, {
      ...{ owner: '', description: '', scopes: ['read:c:*'], environment: 'live' },
      ttlMs: undefined,
    });
    const key = micro(await timeOf(access, text, CALLS));
    rows.push({ credential: 'API key', seen: key, new: key });
  }
  print('microseconds of one authentication', rows);
}

async function measureRevocations(): Promise<void> {
  using directory = createTemporaryDirectory();
  await using engine = await openEmbeddedStore({
    ...{ directory: directory.path, clock: systemClock },
  });
  const expiresAtMs = systemClock.now() + 86_400_000;
  for (let from = 0; from < REVOKED; from += 10_000) {
    await engine.transact({ durability: 'async' }, (transaction) => {
      for (let at = from; at < from + 10_000; at++) {
        const id = `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`;
        const body = JSON.stringify({ kind: 'grant', id, untilMs: 1 });
        transaction.put({ collection: REVOCATIONS, key: `grant.${String(at)}`, body, expiresAtMs });
      }
    });
  }
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const startMs = performance.now();
  const access = await openAccess(engine, 'HS256');
  const openMs = performance.now() - startMs;
  globalThis.gc?.();
  const bytes = (process.memoryUsage().heapUsed - heapBefore) / REVOKED;
  const deep = await delegateDeep(access, await loginTo(access));
  print(`with ${String(access.revocations.size)} revocations`, [
    {
      'start, ms': openMs.toFixed(0),
      'memory, bytes each': bytes.toFixed(0),
      'five deep, microseconds': (await timeOf(access, deep, CALLS)).toFixed(1),
    },
  ]);
}

async function measureHttpCalls(server: TestServer): Promise<void> {
  const root = await server.rootToken();
  const key = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
  await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: { n: 1 } } });
  const url = `${server.url}/v1/collections/c/documents/k`;
  const none = await measureHttp({
    name: 'no credential (GetSetup)',
    url: `${server.url}/v1/setup`,
  });
  const rows = [none];
  for (const [name, token] of [
    ['HS256', root],
    ['API key', String(key.body.text)],
    ['five deep', await deepOver(server, root)],
  ] as const) {
    const headers = { authorization: `Bearer ${token}` };
    rows.push(await measureHttp({ name: `point read, ${name}`, url, headers }));
  }
  report('access', 'no credential (GetSetup)', rows);
}

async function deepOver(server: TestServer, top: string): Promise<string> {
  let token = top;
  for (let depth = 0; depth < 5; depth++) {
    const body = { clientId: 'x', scopes: ['read:c:*'] };
    const answer = await server.request('POST', '/v1/tokens', { token, body });
    token = String(answer.body.token);
  }
  return token;
}

async function measureLogins(server: TestServer): Promise<void> {
  const url = `${server.url}/v1/collections/c/documents/k`;
  // Of a service: a user who signs in more than a hundred times loses the oldest session.
  const headers = { authorization: `Bearer ${await server.tokenWith(['read:c:*'])}` };
  const read = { name: 'reads alone', url, headers, connections: 8 };
  const login = {
    name: 'logins alone',
    url: `${server.url}/v1/sessions`,
    method: 'POST' as const,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(ROOT),
    // Of one name one is looked at and two wait; more are refused.
    connections: 3,
  };
  const alone = [await measureHttp(read), await measureHttp(login)];
  const both = await Promise.all([
    measureHttp({ ...read, name: 'reads beside logins' }),
    measureHttp({ ...login, name: 'logins beside reads' }),
  ]);
  report('logins', 'reads alone', [...alone, ...both]);
}

/** A login that fails takes as long for a name that nobody has as for a wrong password. */
async function measureFailures(): Promise<void> {
  const rows = [];
  for (const [name, username] of [
    ['a wrong password', ROOT.username],
    ['an unknown name', 'nobody'],
  ] as const) {
    const times: number[] = [];
    for (let at = 0; at < LOGINS; at += 4) {
      // Another server for each few, so that no lockout answers in their place.
      await using server = await startTestServer();
      for (let more = 0; more < 4; more++) {
        const startMs = performance.now();
        await server.request('POST', '/v1/sessions', { body: { username, password: 'wrong' } });
        times.push(performance.now() - startMs);
      }
    }
    times.sort((a, b) => a - b);
    const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(1);
    rows.push({ failure: name, 'p50 ms': at(0.5), 'p90 ms': at(0.9) });
  }
  print('logins that fail', rows);
}

function print(bench: string, rows: readonly object[]): void {
  for (const row of rows) process.stderr.write(`${bench}: ${JSON.stringify(row)}\n`);
  process.stdout.write(`${JSON.stringify({ bench, node: process.version, rows })}\n`);
}

await measureAuthentication();
await measureRevocations();
{
  await using server = await startTestServer();
  await measureHttpCalls(server);
  await measureLogins(server);
}
await measureFailures();
