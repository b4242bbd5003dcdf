/**
 * What watching costs: from the answer to a write until its event is there, with 1, 100 and 1,000
 * watchers; memory of one that is idle; how fast one catches up. The server has a process of its own.
 */
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

import { createMoltenClient, toBody, type MoltenClient } from '../../src/client/index.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { createMolten } from '../support/molten.ts';

const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
};
const EVENTS = 50;
const EVENTS_PER_SECOND = 10;
const BACKLOG = 10_000;

interface Latencies {
  readonly watchers: number;
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly idleKilobytes: number;
}

/** A stream of lines that hands over each change's `n` the moment it is there. */
function openWatcher(
  { url, token, query }: { readonly url: string; readonly token: string; readonly query: string },
  onNumber: (n: number) => void,
): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${url}/v1/watch?${query}`,
      { headers: { authorization: `Bearer ${token}` }, agent: false },
      (response) => {
        let rest = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          const lines = (rest + text).split('\n');
          rest = lines.pop() ?? '';
          resolve(() => call.destroy());
          for (const line of lines) {
            for (const [, n] of line.matchAll(/"fields":\{"n":(\d+)/g)) onNumber(Number(n));
          }
        });
      },
    );
    call.on('error', reject);
    call.end();
  });
}

async function measureLatency(
  server: { readonly url: string; readonly token: string; readonly client: MoltenClient },
  watchers: number,
): Promise<Latencies> {
  const { client } = server;
  const before = (await client.system.getStatus({})).residentBytes;
  const latencies: number[] = [];
  const acknowledged = new Map<number, number>();
  const pending: [number, number][] = [];
  const closers: (() => void)[] = [];
  const note = (n: number): void => {
    const at = performance.now();
    const start = acknowledged.get(n);
    if (start === undefined) pending.push([n, at]);
    else latencies.push(at - start);
  };
  for (let at = 0; at < watchers; at++) {
    closers.push(await openWatcher({ ...server, query: 'collection=bench' }, note));
  }
  await wait(500);
  const after = (await client.system.getStatus({})).residentBytes;
  for (let n = 0; n < EVENTS; n++) {
    await client.documents.setDocument({
      ...{ collection: 'bench', key: 'one', body: toBody({ n }) },
    });
    acknowledged.set(n, performance.now());
    await wait(1000 / EVENTS_PER_SECOND);
  }
  for (let look = 0; look < 100 && latencies.length + pending.length < watchers * EVENTS; look++) {
    await wait(50);
  }
  // An event may be there before the answer to its write.
  for (const [n, at] of pending) latencies.push(Math.max(0, at - (acknowledged.get(n) ?? at)));
  for (const close of closers) close();
  latencies.sort((a, b) => a - b);
  const part = (share: number): number =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 100) / 100;
  const idleKilobytes = Math.round(Number(after - before) / 1024 / watchers);
  return {
    ...{ watchers, events: latencies.length, p50Ms: part(0.5), p99Ms: part(0.99), idleKilobytes },
  };
}

async function measureResume(server: {
  readonly url: string;
  readonly token: string;
  readonly client: MoltenClient;
}): Promise<number> {
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

using directory = createTemporaryDirectory();
const serve: ServeProcess = await startServe({
  args: [
    '--db-path',
    `${directory.path}/data`,
    '--port',
    '0',
    '--log-level',
    'silent',
    '--disable-encryption',
  ],
  variables: SECRETS,
});
await using _server = serve;
const molten = createMolten(directory.path, { MOLTEN_PASSWORD: PASSWORD });
await molten('login', serve.url);
const anonymous = createMoltenClient({ url: serve.url });
const { token } = await anonymous.auth.login({ username: 'root', password: PASSWORD });
const server = {
  ...{ url: serve.url, token, client: createMoltenClient({ url: serve.url, token: () => token }) },
};
const latencies: Latencies[] = [];
for (const watchers of [1, 100, 1000]) latencies.push(await measureLatency(server, watchers));
const resumeMs = await measureResume(server);
console.table(latencies);
process.stderr.write(`catching up with ${String(BACKLOG)} events: ${String(resumeMs)} ms\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'watches', latencies, resume: { events: BACKLOG, ms: resumeMs } })}\n`,
);
