/**
 * Twice as much as the server can do, then normal load again; connections that do nothing; readers that do
 * not read, with readers that do as a control. Everything is told as a ratio to what the same run measured.
 * `MOLTEN_SECONDS` is how long the overload lasts (60), `MOLTEN_PARTS` what of it is done (overload,stalled,idle), `MOLTEN_ROUNDS`
 * how often (5), `MOLTEN_PAGE` how many documents a query answers with (10). Where `taskset` is to be had the load has a core to
 * itself and the server all others, as on a machine of its own.
 */
import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

import { invariant } from '../../src/errors/invariant.ts';
import { toBody } from '../../src/client/index.ts';
import { runLoad, type LoadResult } from './open-load.ts';
import { request, startLoaded, type LoadedServer } from './mixed-load.ts';

const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 60);
const PARTS = (process.env['MOLTEN_PARTS'] ?? 'overload,stalled,idle').split(',');
/** Callers that wait for their answers; the peak is what the best of these get out of the server. */
const CALLERS = [16, 64, 256];
const PEAK_SECONDS = 2;
const OVER_SECONDS = 6;
/** Shares of that peak that are offered by callers who wait for nobody: what most is answered of them is the top of their curve. */
const CURVE = [0.9, 1, 1.1];
const CURVE_SECONDS = 4;
/** More than fit into one long turn of the event loop: callers that wait for nobody. */
const CONNECTIONS = 3000;
/** The server takes 10,000 in all; some are left for the load. */
const IDLE = 9900;
const READERS = 100;
/** What is compared is of the size of what a machine itself does meanwhile: it is done in turn, and medians are told. */
const ROUNDS = Number(process.env['MOLTEN_ROUNDS'] ?? 5);
/** Fills what the kernel keeps for a reader. */
const FILL_MIB = 8;
const SETTLE_MS = 4000;
const CALM_MS = 22_000;
const NORMAL = 0.7;
/** Long enough for what happens now and then, as under overload. */
const NORMAL_SECONDS_MIN = 6;
const RECOVERY_SECONDS = 8;

const round = (value: number): number => Math.round(value * 100) / 100;
const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const mebibytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);

/** The most that is answered without overload, and what is with. */
interface Round {
  readonly peak: LoadResult;
  /** The same connections as in overload, with about as much as the server can do. */
  readonly top: LoadResult;
  readonly over: LoadResult;
}

function tell(name: string, result: LoadResult): void {
  const { offeredPerSecond, goodPerSecond, refusedPerSecond, p50Ms, p99Ms, failures } = result;
  process.stderr.write(
    `${name.padEnd(26)} offered ${String(offeredPerSecond)}/s  good ${String(goodPerSecond)}/s  refused ${String(refusedPerSecond)}/s  p50 ${String(p50Ms)} ms  p99 ${String(p99Ms)} ms  failures ${String(failures)}\n`,
  );
}

/** Asks a probe and an operator's call all the while. */
function watchHealth(server: LoadedServer): { stop(): Promise<object> } {
  const times: number[] = [];
  let failures = 0;
  let residentBytes = 0;
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const startMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${String(server.port)}/healthz`).catch(
        () => null,
      );
      if (answer?.status === 200) times.push(performance.now() - startMs);
      else failures += 1;
      const bytes = await server.residentBytes().catch(() => {
        failures += 1;
        return 0;
      });
      residentBytes = Math.max(residentBytes, bytes);
      await wait(200);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
      const sorted = times.toSorted((a, b) => a - b);
      const p99Ms = round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
      return {
        asked: times.length + failures,
        failures,
        p99Ms,
        residentMiB: mebibytes(residentBytes),
      };
    },
  };
}

/** Gives the load a core to itself, and the server the others; how many it has, undefined where that cannot be done. */
function separate(server: LoadedServer): number | undefined {
  const cores = availableParallelism();
  if (cores < 2) return undefined;
  const pin = (list: string, pid: number): boolean =>
    spawnSync('taskset', ['-a', '-c', '-p', list, String(pid)]).status === 0;
  const last = String(cores - 1);
  const isDone = pin(`0-${String(cores - 2)}`, server.pid) && pin(last, process.pid);
  return isDone ? cores - 1 : undefined;
}

/** The most that callers who wait for their answers get out of it, those left out who are turned away. */
async function findPeak({ port, request: next }: LoadedServer): Promise<LoadResult> {
  const results: LoadResult[] = [];
  for (const connections of CALLERS) {
    results.push(await runLoad({ port, request: next, seconds: PEAK_SECONDS, connections }));
  }
  const counted = results.filter(({ refusedPerSecond }) => refusedPerSecond === 0);
  return bestOf(counted.length > 0 ? counted : results);
}

function bestOf(results: readonly LoadResult[]): LoadResult {
  const [best] = results.toSorted((a, b) => b.goodPerSecond - a.goodPerSecond);
  invariant(best !== undefined, 'something was measured');
  return best;
}

/** The most that callers get out of it who wait for nobody, whoever of them is turned away. */
async function findTop(server: LoadedServer, peak: number): Promise<LoadResult> {
  const { port, request: next } = server;
  const results: LoadResult[] = [];
  for (const share of CURVE) {
    results.push(
      await runLoad({
        ...{ port, request: next, seconds: CURVE_SECONDS, connections: CONNECTIONS },
        rate: share * peak,
      }),
    );
  }
  return bestOf(results);
}

/** The peak and twice of it, in turn: what a machine can do changes within seconds. */
async function measureGoodput(server: LoadedServer): Promise<readonly Round[]> {
  const { port, request: next } = server;
  const rounds: Round[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    // Until the last overload is over, waits are held short.
    if (round > 0) await wait(CALM_MS);
    const peak = await findPeak(server);
    const top = await findTop(server, peak.goodPerSecond);
    const rate = 2 * Math.max(peak.goodPerSecond, top.goodPerSecond);
    const over = await runLoad({
      ...{ port, request: next, seconds: OVER_SECONDS, connections: CONNECTIONS, rate },
    });
    // The first is for caches and compilers.
    if (round === 0) continue;
    tell('callers that wait', peak);
    tell('callers that do not', top);
    tell('twice of the more', over);
    rounds.push({ peak, top, over });
  }
  return rounds;
}

async function measureOverload(server: LoadedServer): Promise<object & { readonly peak: number }> {
  const { port, request: next } = server;
  const rounds = await measureGoodput(server);
  const ratiosTo = (name: 'peak' | 'top'): number[] =>
    rounds
      .map((one) => round(one.over.goodPerSecond / one[name].goodPerSecond))
      .toSorted((a, b) => a - b);
  const peak = middle(rounds.map((one) => one.peak.goodPerSecond));
  const load = (share: number, seconds: number): Promise<LoadResult> =>
    runLoad({
      ...{ port, request: next, seconds },
      connections: share > 1 ? CONNECTIONS : CONNECTIONS / 6,
      rate: peak * share,
    });
  const normal = await load(NORMAL, Math.max(NORMAL_SECONDS_MIN, SECONDS / 4));
  tell('normal', normal);
  const residentMiB = mebibytes(await server.residentBytes());
  const health = watchHealth(server);
  const over = await load(2, SECONDS);
  const probes = await health.stop();
  tell('twice the peak', over);
  const after: LoadResult[] = [];
  for (let second = 0; second < RECOVERY_SECONDS; second++) after.push(await load(NORMAL, 1));
  const isNormal = ({ refusedPerSecond, p99Ms }: LoadResult): boolean =>
    refusedPerSecond === 0 && p99Ms <= 2 * normal.p99Ms;
  const firstNormal = after.findIndex(isNormal);
  const told = {
    ...{ rounds, normal, over, probes },
    ...{ goodputRatio: middle(ratiosTo('peak')), goodputRatios: ratiosTo('peak') },
    ...{ goodputRatioOfSame: middle(ratiosTo('top')), goodputRatiosOfSame: ratiosTo('top') },
    p99Ratio: round(over.p99Ms / normal.p99Ms),
    residentMiBBefore: residentMiB,
    secondsUntilNormal: firstNormal === -1 ? `more than ${String(RECOVERY_SECONDS)}` : firstNormal,
    after: after.map(({ refusedPerSecond, p99Ms }) => ({ refusedPerSecond, p99Ms })),
  };
  return { peak, ...told };
}

/** Opens a connection, asks once, and is silent from then on. */
function openIdle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    // The server may be the first to end it.
    socket.on('error', reject);
    socket.once('data', () => {
      resolve(socket);
    });
    socket.write('GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n');
  });
}

async function measureIdle(server: LoadedServer): Promise<object> {
  const { port } = server;
  const before = await server.residentBytes();
  const sockets: Socket[] = [];
  while (sockets.length < IDLE) {
    const some = Array.from({ length: 100 }, () => openIdle(port));
    sockets.push(...(await Promise.all(some)));
  }
  await wait(1000);
  const after = await server.residentBytes();
  for (const socket of sockets) socket.destroy();
  const kilobytesEach = round((after - before) / 1024 / IDLE);
  process.stderr.write(`${String(IDLE)} idle connections: ${String(kilobytesEach)} kB each\n`);
  return { connections: IDLE, kilobytesEach };
}

/** What a reader has asked for. */
interface Reader {
  readonly answers: Socket;
  readonly changes: Socket;
}

/** Asks for many megabytes that cost little to make, and for changes; reads them, or none of it. */
function openReader({ port, token }: LoadedServer, isReading: boolean): Reader {
  const open = (): Socket => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    return isReading ? socket.resume() : socket.pause();
  };
  const answers = open();
  for (let asked = 0; asked < FILL_MIB / 2; asked++) {
    answers.write(request(token, { line: 'GET /v1/collections/large/documents' }));
  }
  const changes = open();
  changes.write(request(token, { line: 'GET /v1/watch?collection=large' }));
  return { answers, changes };
}

/** Twenty documents of 100 kB: two megabytes for whoever lists or watches them. */
async function writeLarge({ client }: LoadedServer): Promise<void> {
  const writes = Array.from({ length: 20 }, (_, n) => ({
    ...{ key: `k${String(n)}`, body: toBody({ text: 'x'.repeat(100_000) }) },
  }));
  await client.documents.batchSetDocuments({ collection: 'large', writes });
}

async function measureStalled(server: LoadedServer, rate: number): Promise<object> {
  const { port, request: next } = server;
  const load = (): Promise<LoadResult> =>
    runLoad({ port, request: next, seconds: 8, rate, connections: 500 });
  const beside = async (isReading: boolean): Promise<LoadResult> => {
    const readers = Array.from({ length: READERS }, () => openReader(server, isReading));
    await wait(SETTLE_MS);
    // Each watch is told of more than its connection takes; from then on it holds up the rest.
    for (let written = 0; written < FILL_MIB / 2;) {
      await wait(500);
      // Whoever is turned away, because readers begin, tries again.
      written += await writeLarge(server).then(
        () => 1,
        () => 0,
      );
    }
    await wait(SETTLE_MS);
    const result = await load();
    for (const { answers, changes } of readers) [answers, changes].forEach((one) => one.destroy());
    await wait(SETTLE_MS);
    return result;
  };
  await writeLarge(server);
  const rounds: { alone: LoadResult; stalled: LoadResult; reading: LoadResult }[] = [];
  let mebibytesMore = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const alone = await load();
    tell('without readers', alone);
    const bytes = await server.residentBytes();
    const stalled = await beside(false);
    tell(`with ${String(READERS)} that do not read`, stalled);
    mebibytesMore = Math.max(mebibytesMore, mebibytes((await server.residentBytes()) - bytes));
    const reading = await beside(true);
    tell(`with ${String(READERS)} that do`, reading);
    rounds.push({ alone, stalled, reading });
  }
  const p99Of = (name: keyof (typeof rounds)[number]): number =>
    middle(rounds.map((one) => one[name].p99Ms));
  const aloneMs = p99Of('alone');
  return {
    ...{ readers: READERS, rounds, mebibytesMore },
    p99Ratio: round(p99Of('stalled') / aloneMs),
    p99RatioOfThoseThatRead: round(p99Of('reading') / aloneMs),
    p99RatiosOfAlone: rounds.map(({ alone }) => round(alone.p99Ms / aloneMs)),
  };
}

await using server = await startLoaded(undefined, {
  MOLTENDB_MAX_CONNECTIONS_PER_ADDRESS: '10000',
});
const cores = separate(server);
const overload = PARTS.includes('overload') ? await measureOverload(server) : undefined;
const peak = overload?.peak ?? (await findPeak(server)).goodPerSecond;
const stalled = PARTS.includes('stalled') ? await measureStalled(server, peak / 2) : undefined;
const idle = PARTS.includes('idle') ? await measureIdle(server) : undefined;
process.stdout.write(
  `${JSON.stringify({ bench: 'overload', node: process.version, cores, overload, stalled, idle })}\n`,
);
