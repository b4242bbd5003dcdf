import { startServer, type ServerParts } from '../../src/server/start.ts';
import { QUERY_BOUNDS } from '../../src/domain/quota/query-limits.ts';
import type { ServerConfig } from '../../src/config/server-config.ts';
import { CONNECTION_LIMITS } from '../../src/protocol/http/one-port.ts';
import { runStorage } from './run-storage.ts';
import { createTemporaryDirectory } from './temporary-directory.ts';
import { requestsTo, type SendRequest, type TestResponse } from './requests.ts';

export type { RequestOptions, TestResponse } from './requests.ts';

/** A server of one test, on a free port and an empty store. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly dbPath: string;
  /** Where its metrics are; undefined unless configured. */
  readonly metricsUrl: string | undefined;
  /** A token of the root user; asked for once. */
  rootToken(): Promise<string>;
  /** One HTTP request; a body that is no string is sent as JSON. */
  readonly request: SendRequest;
  /** A request of the root user. */
  asRoot(method: string, path: string, body?: unknown): Promise<TestResponse>;
  /** A token with these scopes, delegated by the root user. */
  tokenWith(scopes: readonly string[], clientId?: string): Promise<string>;
  close(): Promise<void>;
}

/** The name and password of the root user of every test server. */
export const ROOT = { username: 'root', password: 'a password long enough for tests' } as const;

/** A configuration for tests; `dbPath` must be given. */
export function testConfig(dbPath: string): ServerConfig {
  return {
    storage: undefined,
    ...{ dbPath, host: '127.0.0.1', port: 0, rootUser: ROOT.username, rootPassword: ROOT.password },
    identity: { ldap: undefined, oidc: undefined },
    access: {
      ...{ previousJwtSecrets: [], tokenAlgorithm: 'HS256', tokenIssuer: 'moltendb' },
      ...{ tokenAudience: 'moltendb', accessTokenTtlMs: 900_000, passwordCharsMin: 12 },
      ...{ tokensPerUserMax: 100_000, setupToken: undefined },
    },
    jwtSecret: 'a secret of at least thirty-two bytes, for tests',
    ...{ writeMode: 'async', encryptionKey: undefined, tls: undefined },
    ...{ corsOrigins: [], trustedProxies: [] },
    ...{ maxBodyBytes: 10 * 1024 * 1024, maxDocumentBytes: 1024 * 1024, maxKeysPerRequest: 1000 },
    queryCeiling: QUERY_BOUNDS,
    overload: { loopDelayMaxMs: 0, queueWaitMaxMs: 0 },
    rateLimit: { requests: 0, windowMs: 60_000 },
    rates: { burst: 0, anonymous: 0, logins: 0, verifications: 0, principal: 0 },
    bans: { refusals: 0, firstMs: 60_000 },
    connections: CONNECTION_LIMITS,
    ...{
      logLevel: 'silent',
      strict: false,
      cacheBytes: 1024 * 1024,
      cacheDocuments: undefined,
      sweepIntervalMs: 60_000,
    },
    retention: { ageMs: 0, bytesMax: 0 },
    archive: undefined,
    audit: { retainMs: 0, file: undefined },
    ...{ metrics: undefined, slowQueryMs: 0, alertWebhook: undefined },
    otlpEndpoint: undefined,
    snapshots: { schedule: undefined, keep: 0, hook: undefined },
    ...{ shutdownDelayMs: 0, shutdownGraceMs: 500, shutdownTimeoutMs: 30_000 },
  };
}

/** Starts a server that stops, and whose store goes, when the test ends. */
export async function startTestServer(
  overrides: Partial<ServerConfig> = {},
  parts: ServerParts = {},
): Promise<TestServer> {
  const directory = createTemporaryDirectory();
  const dbPath = overrides.dbPath ?? directory.path;
  const config = { ...testConfig(dbPath), storage: runStorage(dbPath), ...overrides };
  const server = await startServer(config, parts);
  const { url, port, metricsUrl } = server;
  let token: Promise<string> | undefined;

  const request = requestsTo(url);

  async function login(): Promise<string> {
    const { body } = await request('POST', '/v1/sessions', { body: { ...ROOT, ttl: '86400s' } });
    return String(body.token);
  }

  const rootToken = (): Promise<string> => (token ??= login());
  return {
    ...{ url, port, metricsUrl, dbPath: config.dbPath, request, rootToken },
    asRoot: async (method, path, body) => request(method, path, { body, token: await rootToken() }),
    async tokenWith(scopes, clientId = 'a-client') {
      const body = { clientId, scopes };
      const answer = await request('POST', '/v1/tokens', { body, token: await rootToken() });
      return String(answer.body.token);
    },
    close: () => server.close(),
    async [Symbol.asyncDispose]() {
      await server.close();
      directory[Symbol.dispose]();
    },
  };
}
