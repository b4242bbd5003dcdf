/**
 * The part of HashiCorp Vault's HTTP API that secrets are read by, with the shapes of answers that its
 * documentation has (api-docs: KV version 2, AppRole, Kubernetes, token, HTTP status codes).
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { certificate, privateKey } from './certificate.ts';
import { overhearSecret } from './overheard.ts';

/** A request as it came. */
export interface VaultRequest {
  readonly method: string;
  readonly path: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly body: string;
}

/** What this Vault knows. */
export interface VaultContent {
  /** Secrets by `<mount>/data/<path>`; null is one that was deleted. */
  readonly secrets: Readonly<Record<string, Readonly<Record<string, unknown>> | null>>;
  readonly tls?: boolean;
  /** Answers to give before any other, in this order: a status, or `hang` or `cut`. */
  readonly first?: readonly (number | 'hang' | 'cut')[];
  /** A namespace that must be named. */
  readonly namespace?: string;
}

/** A Vault that runs. */
export interface TestVault extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly VaultRequest[];
}

/** The token that is known from the start. */
export const VAULT_TOKEN = 'hvs.a-token-of-tests-that-is-long-enough';
/** The token that AppRole and Kubernetes give. */
export const LOGIN_TOKEN = 'hvs.a-token-of-a-login-that-is-long-enough';
export const ROLE_ID = 'role-of-moltendb';
export const SECRET_ID = 'the-secret-id-of-tests-that-is-long-enough';
export const SERVICE_ACCOUNT_JWT = 'a.service.account';

/** Starts it on a free port. */
export async function startVault(content: VaultContent): Promise<TestVault> {
  const values = Object.values(content.secrets).flatMap((one) => Object.values(one ?? {}));
  for (const secret of [VAULT_TOKEN, LOGIN_TOKEN, SECRET_ID, ...values]) {
    overhearSecret(String(secret));
  }
  const requests: VaultRequest[] = [];
  const first = [...(content.first ?? [])];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const seen = seenOf(request, body);
      requests.push(seen);
      const forced = first.shift();
      if (forced === 'hang') return;
      if (forced === 'cut') {
        response.destroy();
        return;
      }
      const [status, answer] =
        forced === undefined ? answerTo(seen, content) : [forced, { errors: [ERRORS[forced]] }];
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(status === 204 ? undefined : JSON.stringify(answer));
    });
  };
  const server =
    content.tls === true
      ? createTlsServer({ cert: certificate, key: privateKey }, handle)
      : createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { readonly port: number };
  return {
    url: `${content.tls === true ? 'https' : 'http'}://127.0.0.1:${String(port)}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function seenOf(request: IncomingMessage, body: string): VaultRequest {
  const { 'x-vault-token': token, 'x-vault-namespace': namespace } = request.headers;
  return {
    ...{ method: request.method ?? '', path: (request.url ?? '').replace(/^\/v1\//, ''), body },
    token: typeof token === 'string' ? token : undefined,
    namespace: typeof namespace === 'string' ? namespace : undefined,
  };
}

const ERRORS: Readonly<Record<number, string>> = {
  307: 'standby',
  429: 'request path "secret/data" hit a rate limit quota',
  500: 'internal error',
  503: 'Vault is sealed',
};

type Reply = readonly [status: number, body: object];

const DENIED: Reply = [403, { errors: ['permission denied'] }];

function answerTo(request: VaultRequest, content: VaultContent): Reply {
  if (request.namespace !== content.namespace) return DENIED;
  const { method, path, body } = request;
  if (method === 'POST' && path.endsWith('/login')) return login(path, parse(body));
  const isKnown = request.token === VAULT_TOKEN || request.token === LOGIN_TOKEN;
  if (!isKnown || path.startsWith('secret/data/forbidden')) return DENIED;
  if (method === 'POST' && path === 'auth/token/revoke-self') return [204, {}];
  return read(decodeURIComponent(path), content);
}

function login(path: string, body: Readonly<Record<string, unknown>>): Reply {
  const isRole = body['role_id'] === ROLE_ID && body['secret_id'] === SECRET_ID;
  const isAccount = body['role'] === 'moltendb' && body['jwt'] === SERVICE_ACCOUNT_JWT;
  if (path === 'auth/approle/login' || path === 'auth/machines/login') {
    if (!isRole) return [400, { errors: ['invalid role or secret ID'] }];
  } else if (path !== 'auth/kubernetes/login' || !isAccount) return DENIED;
  return [
    200,
    {
      ...{ lease_id: '', renewable: false, lease_duration: 0, data: null },
      ...{ wrap_info: null, warnings: null },
      auth: {
        ...{ client_token: LOGIN_TOKEN, accessor: 'fd6c9a00-d2dc-3b11-0be5-af7ae0e1d374' },
        ...{ policies: ['default'], token_policies: ['default'], metadata: null },
        ...{ lease_duration: 1200, renewable: true },
      },
    },
  ];
}

function read(path: string, { secrets }: VaultContent): Reply {
  const data = secrets[path];
  if (data === undefined) return [404, { errors: [] }];
  const metadata = {
    ...{ created_time: '2018-03-22T02:24:06.945319214Z', custom_metadata: null, version: 2 },
    deletion_time: data === null ? '2018-03-22T02:36:43.986212308Z' : '',
    destroyed: false,
  };
  return [
    data === null ? 404 : 200,
    {
      ...{ request_id: '3ed52f5b', lease_id: '', renewable: false, lease_duration: 0 },
      ...{ data: { data, metadata }, wrap_info: null, warnings: null, auth: null },
    },
  ];
}

function parse(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}
