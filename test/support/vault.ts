/**
 * The part of HashiCorp Vault's HTTP API that secrets are read by, with the answers that a Vault 1.21.4 gave to the
 * same requests (KV version 2, AppRole, tokens). Kubernetes answers a sign-in as AppRole does, by its documentation; statuses
 * that no healthy Vault gives are those of its documentation too.
 */
import { readFileSync } from 'node:fs';
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

/** What Vault answered to a request, by what was asked. */
interface Recorded {
  readonly name: string;
  readonly status: number;
  readonly answer?: Record<string, unknown>;
}

const RECORDED = JSON.parse(
  readFileSync(new URL('../fixtures/vault/answers-1.21.4.json', import.meta.url), 'utf8'),
) as readonly Recorded[];

/** An answer as it was, but for these members, and those of a member of it. */
function recorded(name: string, member?: string, changed: object = {}): Reply {
  const found = RECORDED.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no answer was recorded of: ${name}`);
  const { status, answer = {} } = found;
  if (member === undefined) return [status, answer];
  return [status, { ...answer, [member]: { ...(answer[member] as object), ...changed } }];
}

function answerTo(request: VaultRequest, content: VaultContent): Reply {
  if (request.namespace !== content.namespace) return recorded('login not mounted');
  const { method, path, body } = request;
  if (method === 'POST' && path.endsWith('/login')) return login(path, parse(body));
  const isKnown = request.token === VAULT_TOKEN || request.token === LOGIN_TOKEN;
  if (!isKnown) return recorded('token that is wrong');
  if (path.startsWith('secret/data/forbidden')) return recorded('secret that is forbidden');
  if (method === 'POST' && path === 'auth/token/revoke-self') return recorded('token given back');
  return read(decodeURIComponent(path), content);
}

function login(path: string, body: Readonly<Record<string, unknown>>): Reply {
  const isRole = body['role_id'] === ROLE_ID && body['secret_id'] === SECRET_ID;
  const isAccount = body['role'] === 'moltendb' && body['jwt'] === SERVICE_ACCOUNT_JWT;
  if (path === 'auth/approle/login' || path === 'auth/machines/login') {
    if (!isRole) return recorded('approle login refused');
  } else if (path !== 'auth/kubernetes/login' || !isAccount) return recorded('login not mounted');
  return recorded('approle login', 'auth', { client_token: LOGIN_TOKEN });
}

function read(path: string, { secrets }: VaultContent): Reply {
  const data = secrets[path];
  if (data === undefined) return recorded('secret that is not there');
  return data === null ? recorded('secret that was deleted') : recorded('secret', 'data', { data });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}
