import { randomBytes } from 'node:crypto';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:tls';

import { findIn, type Finding } from './finding.ts';
import { isNear } from './near.ts';

const find = findIn('server');
const DAY_MS = 86_400_000;
const RENEWAL_DAYS = 14;
const TIMEOUT_MS = 10_000;
const FOREIGN_ORIGIN = 'https://doctor.invalid';
/** Signed by nobody: the algorithm is `none`. */
const FORGED_TOKEN = 'eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJyb290In0.';

/** What anybody can see of a server, without a credential. */
export async function examineOutside(url: string): Promise<readonly Finding[]> {
  let health: Response;
  try {
    health = await ask(url, '/v1/health', { origin: FOREIGN_ORIGIN });
  } catch (error) {
    return [
      find('reachable', 'FAIL', `${url}: ${causeOf(error)}; see that it runs and what it logs`),
    ];
  }
  return [
    find('reachable', 'ok', url),
    ...(await attempt('TLS', () => examineTls(url))),
    ...examineHeaders(url, health.headers),
    examineCors(health.headers),
    ...(await attempt('WebSocket closed', () => examineWebSocket(url))),
    ...(await attempt('metrics inside', () => examineMetrics(url))),
    ...(await attempt('health', () => examineHealth(health))),
    ...(await attempt('set-up closed', () => examineSetup(url))),
    ...(await examineRefusal(url, 'calls without a credential refused', {})),
    ...(await examineRefusal(url, 'forged credentials refused', {
      authorization: `Bearer ${FORGED_TOKEN}`,
    })),
  ];
}

/** Looks, and takes what cannot be looked at for a failure. */
async function attempt(
  name: string,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    const fix = 'see that this is a MoltenDB server, and what stands in front of it';
    return [find(name, 'FAIL', `${causeOf(error)}; ${fix}`)];
  }
}

function ask(url: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(new URL(path, url), { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

async function readAnswer(answer: Response): Promise<object> {
  const value: unknown = await answer.json().catch(() => undefined);
  if (typeof value === 'object' && value !== null) return value;
  throw new Error(`${new URL(answer.url).pathname} was not answered with a JSON object`);
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

async function examineTls(url: string): Promise<readonly Finding[]> {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== 'https:') {
    const fix = 'give the server --cert and --key, or put a proxy with TLS in front';
    return [find('TLS', isNear(hostname) ? 'warn' : 'FAIL', `tokens travel in the clear; ${fix}`)];
  }
  const host = hostname.replace(/^\[|\]$/g, '');
  const { version, validTo } = await shakeHands(host, port === '' ? 443 : Number(port));
  const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
  const expiry = `the certificate expires in ${String(days)} days`;
  return [
    find('TLS', 'ok', version),
    days < RENEWAL_DAYS
      ? find('certificate', 'warn', `${expiry}; renew it and send SIGHUP`)
      : find('certificate', 'ok', expiry),
  ];
}

/** The certificate was verified before, by the first request. */
function shakeHands(
  host: string,
  port: number,
): Promise<{ readonly version: string; readonly validTo: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: /^[\d.:]+$/.test(host) ? '' : host }, () => {
      const validTo = socket.getPeerCertificate().valid_to;
      resolve({ version: socket.getProtocol() ?? 'unknown', validTo });
      socket.destroy();
    });
    socket.setTimeout(TIMEOUT_MS, () =>
      socket.destroy(new Error('the TLS handshake took too long')),
    );
    socket.once('error', reject);
  });
}

function examineHeaders(url: string, headers: Headers): readonly Finding[] {
  const wanted = [
    ...['x-content-type-options', 'x-frame-options', 'referrer-policy', 'cache-control'],
    ...(url.startsWith('https:') ? ['strict-transport-security'] : []),
  ];
  const missing = wanted.filter((name) => !headers.has(name));
  return missing.length === 0
    ? [find('security headers', 'ok', wanted.join(', '))]
    : [
        find(
          'security headers',
          'FAIL',
          `${missing.join(', ')} missing; see that no proxy takes them away`,
        ),
      ];
}

function examineCors(headers: Headers): Finding {
  const allowed = headers.get('access-control-allow-origin');
  const hasCredentials = headers.get('access-control-allow-credentials') === 'true';
  const fix = 'name the origins of your pages in --cors-origin, here and in any proxy';
  if (allowed === FOREIGN_ORIGIN || hasCredentials) {
    return find('CORS closed', 'FAIL', `pages of ${FOREIGN_ORIGIN} may call; ${fix}`);
  }
  return allowed === '*'
    ? find('CORS closed', 'warn', `any page may call; ${fix}`)
    : find('CORS closed', 'ok', '');
}

/** A handshake as a page of another origin makes it. */
async function examineWebSocket(url: string): Promise<readonly Finding[]> {
  const name = 'WebSocket closed';
  const headers = {
    ...{ origin: FOREIGN_ORIGIN, connection: 'Upgrade', upgrade: 'websocket' },
    ...{ 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64') },
  };
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const timeout = TIMEOUT_MS;
    const asked = send(new URL('/ws', url), { headers, timeout, agent: false });
    const answered = ({ statusCode, socket }: IncomingMessage): void => {
      socket.destroy();
      resolve(statusCode);
    };
    asked.on('response', answered).on('upgrade', answered).on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error('the handshake took too long'))).end();
  });
  const fix =
    'name the origins of your pages in --cors-origin, and let a proxy keep Origin and Host';
  return status === 101
    ? [find(name, 'FAIL', `pages of ${FOREIGN_ORIGIN} may open one; ${fix}`)]
    : [find(name, 'ok', '')];
}

async function examineMetrics(url: string): Promise<readonly Finding[]> {
  const name = 'metrics inside';
  const { ok } = await ask(url, '/metrics');
  const fix = 'see that no proxy leads there; they are for the scraper';
  return ok ? [find(name, 'FAIL', `everybody may read /metrics; ${fix}`)] : [find(name, 'ok', '')];
}

async function examineHealth(health: Response): Promise<readonly Finding[]> {
  const { state } = (await readAnswer(health)) as { readonly state?: unknown };
  const word = String(state).replace('SERVING_STATE_', '');
  return word === 'READY'
    ? [find('health', 'ok', word)]
    : [find('health', 'FAIL', `${word}; look at the log of the server`)];
}

async function examineSetup(url: string): Promise<readonly Finding[]> {
  const name = 'set-up closed';
  const { open } = (await readAnswer(await ask(url, '/v1/setup'))) as { readonly open?: boolean };
  return open === true
    ? [find(name, 'FAIL', 'whoever comes first may take the server; complete the set-up')]
    : [find(name, 'ok', '')];
}

function examineRefusal(
  url: string,
  name: string,
  headers: Record<string, string>,
): Promise<readonly Finding[]> {
  return attempt(name, async () => {
    const { status } = await ask(url, '/v1/status', headers);
    if (status === 401) return [find(name, 'ok', '')];
    throw new Error(`it was answered with ${String(status)}`);
  });
}
