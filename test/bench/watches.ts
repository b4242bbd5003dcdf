/**
 * What watching costs: from the answer to a write until its event is there, with 1, 100 and 1,000
 * watchers; memory of one that is idle; how fast one catches up; and what the server keeps in memory while
 * a collection with as many watchers is written at a rate that they cannot follow. The server has a process
 * of its own. `MOLTEN_WATCHERS` (1,100,1000), `MOLTEN_RATE` (1,000 commits a second) and `MOLTEN_SECONDS`
 * (10) make it smaller.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

import { createMoltenClient, toBody } from '../../src/client/index.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { parseMetrics, type ScrapedFamily } from '../support/prometheus.ts';
import { request as requestBytes } from './mixed-load.ts';
import { runLoad, type LoadResult } from './open-load.ts';
import {
  measureWatchLatency,
  openWatcher,
  type WatchedServer,
  type WatchLatency,
} from './watch-latency.ts';

const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
};
const EVENTS = 50;
const EVENTS_PER_SECOND = 10;
const BACKLOG = 10_000;
const WATCHERS = (process.env['MOLTEN_WATCHERS'] ?? '1,100,1000').split(',').map(Number);
const RATE = Number(process.env['MOLTEN_RATE'] ?? 1000);
const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 10);
const WATCHERS_MAX = Math.max(...WATCHERS);
/** Those of the watchers, of the load, and of the client that asks. */
const CONNECTIONS_MAX = WATCHERS_MAX + 200;

interface Latencies extends WatchLatency {
  readonly idleKilobytes: number;
}

async function measureWatchers(server: WatchedServer, watchers: number): Promise<Latencies> {
  const { client } = server;
  const before = (await client.system.getStatus({})).residentBytes;
  let after = before;
  const latency = await measureWatchLatency({
    ...{ watchers, watched: server, writer: client, events: EVENTS, perSecond: EVENTS_PER_SECOND },
    async onWatched() {
      after = (await client.system.getStatus({})).residentBytes;
    },
  });
  const idleKilobytes = Math.round(Number(after - before) / 1024 / watchers);
  return { ...latency, idleKilobytes };
}

async function measureResume(server: WatchedServer): Promise<number> {
  for (let at = 0; at < BACKLOG; at += 1000) {
    const writes = Array.from({ length: 1000 }, (_, n) => ({
      key: `k${String(at + n)}`,
      body: toBody({ n: at + n }),
    }));
    await server.client.documents.batchSetDocuments({ collection: 'backlog', writes });
  }
  const startMs = performance.now();
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    let close: (() => void) | undefined;
    openWatcher({ ...server, query: 'collection=backlog&afterSequence=0' }, () => {
      seen += 1;
      if (seen < BACKLOG) return;
      close?.();
      resolve();
    }).then((stop) => (close = stop), reject);
  });
  return Math.round(performance.now() - startMs);
}

/** What the server keeps for watches now. */
interface Held {
  readonly ringCharacters: number;
  readonly catchUpCharacters: number;
  readonly pendingEntries: number;
  readonly residentMebibytes: number;
}

async function readHeld(metricsUrl: string): Promise<Held> {
  const families = parseMetrics(await (await fetch(metricsUrl)).text());
  const held = families.get('molten_watch_held_characters');
  const at = (place: string): number => valueIn(held, ({ labels }) => labels['place'] === place);
  return {
    ringCharacters: at('ring'),
    catchUpCharacters: at('catch_up'),
    pendingEntries: valueIn(families.get('molten_watch_pending_entries')),
    residentMebibytes: Math.round(
      valueIn(families.get('molten_process_resident_bytes')) / 1024 ** 2,
    ),
  };
}

function valueIn(
  family: ScrapedFamily | undefined,
  isWanted: (sample: ScrapedFamily['samples'][number]) => boolean = () => true,
): number {
  return family?.samples.find(isWanted)?.value ?? 0;
}

/** Watches, and throws away what comes as fast as it does. */
function openDrain(port: number, token: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').on('error', reject);
    socket.once('data', () => {
      resolve(socket);
    });
    socket.resume().write(requestBytes(token, { line: 'GET /v1/watch?collection=busy' }));
  });
}

/** One collection, written at a rate while many watch it. */
async function measureRate(
  server: { readonly url: string; readonly token: string },
  metricsUrl: string,
): Promise<{ readonly load: LoadResult; readonly before: Held; readonly most: Held }> {
  const port = Number(new URL(server.url).port);
  const drains: Socket[] = [];
  for (let at = 0; at < WATCHERS_MAX; at++) drains.push(await openDrain(port, server.token));
  const before = await readHeld(metricsUrl);
  let most = before;
  const looking = new AbortController();
  const look = (async () => {
    while (!looking.signal.aborted) {
      const now = await readHeld(metricsUrl).catch(() => most);
      most = {
        ringCharacters: Math.max(most.ringCharacters, now.ringCharacters),
        catchUpCharacters: Math.max(most.catchUpCharacters, now.catchUpCharacters),
        pendingEntries: Math.max(most.pendingEntries, now.pendingEntries),
        residentMebibytes: Math.max(most.residentMebibytes, now.residentMebibytes),
      };
      await wait(100);
    }
  })();
  const line = 'PUT /v1/collections/busy/documents/one';
  const body = { body: { fields: { text: 'x'.repeat(300) } } };
  const bytes = requestBytes(server.token, { line, body });
  const load = await runLoad({
    ...{ port, request: () => bytes, seconds: SECONDS, rate: RATE, connections: 64 },
  });
  looking.abort();
  await look;
  for (const socket of drains) socket.destroy();
  return { load, before, most };
}

using directory = createTemporaryDirectory();
const metricsPort = 20_000 + (process.pid % 20_000);
const serve: ServeProcess = await startServe({
  args: [
    '--db-path',
    `${directory.path}/data`,
    '--port',
    '0',
    '--log-level',
    'silent',
    '--disable-encryption',
    ...['--max-connections-per-address', String(Math.max(CONNECTIONS_MAX, 1000))],
    ...['--metrics-port', String(metricsPort)],
  ],
  variables: SECRETS,
});
await using _server = serve;
const anonymous = createMoltenClient({ url: serve.url });
const { token } = await anonymous.auth.login({ username: 'root', password: PASSWORD });
const server = {
  ...{ url: serve.url, token, client: createMoltenClient({ url: serve.url, token: () => token }) },
};
const latencies: Latencies[] = [];
for (const watchers of WATCHERS) latencies.push(await measureWatchers(server, watchers));
const resumeMs = await measureResume(server);
const atRate = await measureRate(server, `http://127.0.0.1:${String(metricsPort)}/metrics`);
console.table(latencies);
console.table({ before: atRate.before, most: atRate.most });
process.stderr.write(`catching up with ${String(BACKLOG)} events: ${String(resumeMs)} ms\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'watches', latencies, resume: { events: BACKLOG, ms: resumeMs }, atRate })}\n`,
);
