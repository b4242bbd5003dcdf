/**
 * The part of Vault's HTTP API that is needed to read secrets once: sign in, read KV version 2, and give
 * the token back. Messages name paths and statuses, never a token and nothing of an answer.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

import { delay } from '../platform/timers.ts';

/** Where Vault is and how it is reached. */
export interface VaultPlace {
  readonly address: string;
  readonly namespace: string | undefined;
  /** Certificates to trust, in PEM. Absent: those of the system. */
  readonly ca: string | undefined;
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** Before the second attempt; twice as long before the third. */
  readonly retryMs?: number;
}

/** What a sign-in by `auth/<path>/login` is sent. */
export interface VaultLogin {
  /** Where the method is mounted. */
  readonly path: string;
  readonly body: Readonly<Record<string, string>>;
}

/** What went wrong, in words for whoever configures the server. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
  /** Undefined: there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** A Vault. */
export interface VaultClient {
  /** The token of a sign-in. VaultError. */
  login(login: VaultLogin): Promise<string>;
  /** The fields of a secret, by their names. VaultError, with the status 404 where there is none. */
  read(
    token: string,
    place: { readonly mount: string; readonly path: string },
  ): Promise<VaultFields>;
  /** Ends a token; that it could not be is not told, for it ends by itself. */
  revoke(token: string): Promise<void>;
}

/** What a secret holds. */
export type VaultFields = Readonly<Record<string, unknown>>;

const ATTEMPTS = 3;
const RETRY_MS = 200;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** Answers that another attempt may not get: behind the write, too many, and what is the server's own. */
const PASSING = [412, 429];
const SERVER_ERROR = 500;

interface Ask {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly token?: string;
  readonly body?: object;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Creates a client; it connects when it is asked. */
export function createVaultClient(place: VaultPlace): VaultClient {
  const ask = (what: Ask): Promise<Answer> => attempts(place, what);
  return {
    async login({ path, body }) {
      const answer = await ask({ method: 'POST', path: `auth/${encodePath(path)}/login`, body });
      const found = member(member(parse(answer), 'auth'), 'client_token');
      if (typeof found === 'string' && found !== '') return found;
      throw new VaultError('its answer to the sign-in has no token', answer.status);
    },
    async read(token, { mount, path }) {
      const answer = await ask({
        ...{ method: 'GET', token },
        path: `${encodePath(mount)}/data/${encodePath(path)}`,
      });
      const fields = member(member(parse(answer), 'data'), 'data');
      if (typeof fields === 'object' && fields !== null) return fields as VaultFields;
      throw new VaultError('its answer holds no secret of KV version 2', answer.status);
    },
    async revoke(token) {
      const path = 'auth/token/revoke-self';
      await send(place, { method: 'POST', path, token }).catch(() => undefined);
    },
  };
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

async function attempts(place: VaultPlace, what: Ask): Promise<Answer> {
  const { retryMs = RETRY_MS } = place;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await send(place, what);
      if (answer.status === 200) return answer;
      throw new VaultError(describe(answer.status), answer.status);
    } catch (error) {
      const failure = error instanceof VaultError ? error : unreachable(error);
      if (attempt === ATTEMPTS || !passes(failure)) throw failure;
    }
    await delay(retryMs * 2 ** (attempt - 1));
  }
}

function passes({ status }: VaultError): boolean {
  return status === undefined || status >= SERVER_ERROR || PASSING.includes(status);
}

function describe(status: number): string {
  const text = String(status);
  if (status === 400 || status === 403) return `it refused that (${text})`;
  if (status === 404) return 'it has nothing there (404)';
  if (status === 503) return 'it is sealed or in maintenance (503); unseal it';
  if (status >= 300 && status < 400) {
    return `it sends elsewhere (${text}); name the active node, or let it forward requests`;
  }
  return `it answered ${text}`;
}

function unreachable(error: unknown): VaultError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(code)) {
    return new VaultError(`its certificate is not trusted (${code}); give --vault-ca`);
  }
  // Nothing else aborts an attempt.
  const why = code === 'ABORT_ERR' ? 'no answer in time' : code;
  return new VaultError(`it cannot be reached (${why === '' ? 'no connection' : why})`);
}

function send(place: VaultPlace, { method, path, token, body }: Ask): Promise<Answer> {
  const { address, namespace, ca, timeoutMs } = place;
  const url = new URL(`${address.replace(/\/+$/, '')}/v1/${path}`);
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = open(url, {
      ...{ method, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      ...(ca === undefined ? {} : { ca }),
      headers: {
        // Vault refuses what a page of a browser could be made to send.
        'x-vault-request': 'true',
        ...(token === undefined ? {} : { 'x-vault-token': token }),
        ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    call.once('error', reject);
    call.once('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk);
        else call.destroy(new VaultError('its answer is larger than a mebibyte'));
      });
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode: status = 0 } = response;
        resolve({ status, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    call.end(text);
  });
}

function parse({ text, status }: Answer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new VaultError('its answer is no JSON; is this a Vault?', status);
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
