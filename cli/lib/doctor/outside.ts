import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { connect, type ConnectionOptions } from 'node:tls';

import { ask, TIMEOUT_MS, type Answer, type Server } from './ask.ts';
import { findIn, type Finding } from './finding.ts';
import { isNear } from './near.ts';

const find = findIn('server');
const DAY_MS = 86_400_000;
const RENEWAL_DAYS = 14;
const FOREIGN_ORIGIN = 'https://doctor.invalid';
/** Signed by nobody: the algorithm is `none`. */
const FORGED_TOKEN = 'eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJyb290In0.';

/** What anybody can see of a server, without a credential. */
export async function examineOutside(server: Server): Promise<readonly Finding[]> {
  const { url } = server;
  let health: Answer;
  try {
    health = await ask(server, '/v1/health', { origin: FOREIGN_ORIGIN });
  } catch (error) {
    return [
      find('reachable', 'FAIL', `${url}: ${causeOf(error)}; see that it runs and what it logs`),
    ];
  }
  return [
    find('reachable', 'ok', url),
    ...(await attempt('TLS', () => examineTls(server))),
    ...examineHeaders(url, health.headers),
    examineCors(health.headers),
    ...(await attempt('WebSocket closed', () => examineWebSocket(server))),
    ...(await attempt('metrics inside', () => examineMetrics(server))),
    ...(await attempt('health', () => examineHealth(health))),
    ...(await attempt('set-up closed', () => examineSetup(server))),
    ...(await examineRefusal(server, 'calls without a credential refused', {})),
    ...(await examineRefusal(server, 'forged credentials refused', {
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

function readAnswer({ path, body }: Answer): object {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new Error(`${path} was not answered with a JSON object`);
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

async function examineTls(server: Server): Promise<readonly Finding[]> {
  const { protocol, hostname, port } = new URL(server.url);
  if (protocol !== 'https:') {
    const fix = 'give the server --cert and --key, or put a proxy with TLS in front';
    return [find('TLS', isNear(hostname) ? 'warn' : 'FAIL', `tokens travel in the clear; ${fix}`)];
  }
  const host = hostname.replace(/^\[|\]$/g, '');
  const to = { host, port: port === '' ? 443 : Number(port), ...server.certificate };
  const { version, validTo } = await shakeHands(to);
  const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
  const expiry = `the certificate expires in ${String(days)} days`;
  const old = {
    ciphers: 'DEFAULT@SECLEVEL=0',
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
  } as const;
  const isOldTaken = await shakeHands({ ...to, ...old }).then(
    () => true,
    () => false,
  );
  const fix = 'see that the proxy in front takes none before TLS 1.2';
  return [
    isOldTaken ? find('TLS', 'FAIL', `TLS 1.1 is taken; ${fix}`) : find('TLS', 'ok', version),
    days < RENEWAL_DAYS
      ? find('certificate', 'warn', `${expiry}; renew it and send SIGHUP`)
      : find('certificate', 'ok', expiry),
  ];
}

/** The certificate was verified before, by the first request. */
function shakeHands(
  to: ConnectionOptions & { readonly host: string },
): Promise<{ readonly version: string; readonly validTo: string }> {
  const servername = /^[\d.:]+$/.test(to.host) ? '' : to.host;
  return new Promise((resolve, reject) => {
    const socket = connect({ ...to, servername }, () => {
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

function examineHeaders(url: string, headers: IncomingHttpHeaders): readonly Finding[] {
  const wanted = [
    ...['x-content-type-options', 'x-frame-options', 'referrer-policy', 'cache-control'],
    ...(url.startsWith('https:') ? ['strict-transport-security'] : []),
  ];
  const missing = wanted.filter((name) => headers[name] === undefined);
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

function examineCors(headers: IncomingHttpHeaders): Finding {
  const allowed = headers['access-control-allow-origin'];
  const hasCredentials = headers['access-control-allow-credentials'] === 'true';
  const fix = 'name the origins of your pages in --cors-origin, here and in any proxy';
  if (allowed === FOREIGN_ORIGIN || hasCredentials) {
    return find('CORS closed', 'FAIL', `pages of ${FOREIGN_ORIGIN} may call; ${fix}`);
  }
  return allowed === '*'
    ? find('CORS closed', 'warn', `any page may call; ${fix}`)
    : find('CORS closed', 'ok', '');
}

/** A handshake as a page of another origin makes it. */
async function examineWebSocket(server: Server): Promise<readonly Finding[]> {
  const name = 'WebSocket closed';
  const headers = {
    ...{ origin: FOREIGN_ORIGIN, connection: 'Upgrade', upgrade: 'websocket' },
    ...{ 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64') },
  };
  const { status } = await ask(server, '/ws', headers);
  const fix =
    'name the origins of your pages in --cors-origin, and let a proxy keep Origin and Host';
  return status === 101
    ? [find(name, 'FAIL', `pages of ${FOREIGN_ORIGIN} may open one; ${fix}`)]
    : [find(name, 'ok', '')];
}

async function examineMetrics(server: Server): Promise<readonly Finding[]> {
  const name = 'metrics inside';
  const { status } = await ask(server, '/metrics');
  const fix = 'see that no proxy leads there; they are for the scraper';
  const isOpen = status >= 200 && status < 300;
  return isOpen
    ? [find(name, 'FAIL', `everybody may read /metrics; ${fix}`)]
    : [find(name, 'ok', '')];
}

async function examineHealth(health: Answer): Promise<readonly Finding[]> {
  const { state } = readAnswer(health) as { readonly state?: unknown };
  const word = String(state).replace('SERVING_STATE_', '');
  return word === 'READY'
    ? [find('health', 'ok', word)]
    : [find('health', 'FAIL', `${word}; look at the log of the server`)];
}

async function examineSetup(server: Server): Promise<readonly Finding[]> {
  const name = 'set-up closed';
  const { open } = readAnswer(await ask(server, '/v1/setup')) as { readonly open?: boolean };
  return open === true
    ? [find(name, 'FAIL', 'whoever comes first may take the server; complete the set-up')]
    : [find(name, 'ok', '')];
}

function examineRefusal(
  server: Server,
  name: string,
  headers: Record<string, string>,
): Promise<readonly Finding[]> {
  return attempt(name, async () => {
    const { status } = await ask(server, '/v1/status', headers);
    if (status === 401) return [find(name, 'ok', '')];
    throw new Error(`it was answered with ${String(status)}`);
  });
}
