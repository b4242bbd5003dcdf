/**
 * Twice as much as the server can do, then normal load again; connections that do nothing; readers that do
 * not read, with readers that do as a control. Everything is told as a ratio to what the same run measured. In time is what is
 * answered well within three times the p99 of normal load. The capacity is the most that any load had answered in time, goodput
 * what is answered in time at twice of it; what is answered at any time is told too, to the most that any load had answered so.
 * `MOLTEN_SECONDS` is how long each overload lasts (60), `MOLTEN_PARTS` what of it is done (overload,stalled,idle), `MOLTEN_ROUNDS`
 * how often (4), `MOLTEN_WORKLOAD` what calls are made (mixed, or scans: workload E of YCSB). Where `taskset` is to be had the load has a core to
 * itself and the server all others, as on a machine of its own.
 */
import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

import { invariant } from '../../src/errors/invariant.ts';
import { toBody } from '../../src/client/index.ts';
import { mebibytes, round, watchHealth } from './health-watch.ts';
import { runLoad, type LoadResult } from './open-load.ts';
import { request, startLoaded, type LoadedServer } from './mixed-load.ts';

const SECONDS = Number(process.env['MOLTEN_SECONDS'] ?? 60);
const PARTS = (process.env['MOLTEN_PARTS'] ?? 'overload,stalled,idle').split(',');
/** So many callers that wait for their answers. */
const CALLERS = [16, 32, 64, 128, 256];
const PEAK_SECONDS = 10;
/** What callers who wait for nobody offer, to the most that those who wait got: the top of their curve is near. */
const CURVE = [0.9, 1, 1.1];
const CURVE_SECONDS = 10;
/** More than fit into one long turn of the event loop: callers that wait for nobody. */
const CONNECTIONS = 3000;
/** The server takes 10,000 in all; some are left for the load. */
const IDLE = 9900;
const READERS = 100;
/** What is compared is of the size of what a machine itself does meanwhile: it is done in turn, and medians are told. */
const ROUNDS = Number(process.env['MOLTEN_ROUNDS'] ?? 4);
/** Fills what the kernel keeps for a reader. */
const FILL_MIB = 8;
const SETTLE_MS = 4000;
/**
 * Of each load beside readers, before what counts: what it takes to open them is collected in it. And long enough for what happens
 * now and then: a full collection, which on one core holds calls up for a tenth of a second, is one in a hundred
 * of 15 seconds.
 */
const LEAD_SECONDS = 15;
const BESIDE_SECONDS = 60;
/** Compilers and caches are done with what changes the times of calls. */
const WARM_SECONDS = 40;
/** What an overload has left behind is not normal: until it is over, waits are held short. */
const CALM_MS = 22_000;
const NORMAL = 0.7;
/** In time is so many times the p99 of normal load: the same bound as for the p99 under overload. */
const IN_TIME = 3;
/** Long enough for what happens now and then, as under overload. */
const NORMAL_SECONDS = 15;
/** Of the round that does not count. */
const OVER_SECONDS_FIRST = 6;
const RECOVERY_SECONDS = 8;

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** One turn of all loads that are compared, in this order: what the machine can do changes within seconds. */
interface Round {
  /** By `CALLERS`. */
  readonly callers: readonly LoadResult[];
  /** By `CURVE`: the same connections as in overload, with about as much as the server can do. */
  readonly curve: readonly LoadResult[];
  readonly normal: LoadResult;
  readonly over: LoadResult;
  /** Normal load again, second by second. */
  readonly after: readonly LoadResult[];
}

function tell(name: string, result: LoadResult): void {
  const { offeredPerSecond, goodPerSecond, refusedPerSecond, p50Ms, p99Ms, failures } = result;
  process.stderr.write(
    `${name.padEnd(26)} offered ${String(offeredPerSecond)}/s  good ${String(goodPerSecond)}/s  refused ${String(refusedPerSecond)}/s  p50 ${String(p50Ms)} ms  p99 ${String(p99Ms)} ms  failures ${String(failures)}\n`,
  );
}

/** Bounds this process, and those that it starts, to some cores; false where that cannot be done. */
function keepTo(cores: string): boolean {
  return spawnSync('taskset', ['-a', '-c', '-p', cores, String(process.pid)]).status === 0;
}

/** A server that has all cores but one from its start, and the load that one; `cores` is undefined where that cannot be done. */
async function startApart(): Promise<{ server: LoadedServer; cores: number | undefined }> {
  const last = availableParallelism() - 1;
  const isApart = last > 0 && keepTo(`0-${String(last - 1)}`);
  const server = await startLoaded(undefined, { MOLTENDB_MAX_CONNECTIONS_PER_ADDRESS: '10000' });
  if (isApart) invariant(keepTo(String(last)), 'the load has a core to itself');
  return { server, cores: isApart ? last : undefined };
}

/** What callers who wait for their answers get out of it, by `CALLERS`. */
async function loadByCallers({ port, request: next }: LoadedServer): Promise<LoadResult[]> {
  const results: LoadResult[] = [];
  for (const connections of CALLERS) {
    results.push(await runLoad({ port, request: next, seconds: PEAK_SECONDS, connections }));
  }
  return results;
}

/** What callers get out of it who wait for nobody. */
function loadFreely(
  { port, request: next }: LoadedServer,
  load: { readonly rate: number; readonly seconds: number; readonly connections?: number },
): Promise<LoadResult> {
  return runLoad({ port, request: next, connections: CONNECTIONS, ...load });
}

/** The same, by `CURVE`. */
async function loadByCurve(server: LoadedServer, peak: number): Promise<LoadResult[]> {
  const results: LoadResult[] = [];
  for (const share of CURVE) {
    results.push(await loadFreely(server, { rate: share * peak, seconds: CURVE_SECONDS }));
  }
  return results;
}

/** Answered well in a second, within so many milliseconds, on the average. */
const goodOf = (results: readonly LoadResult[], boundMs = Infinity): number => {
  const good = results.reduce((sum, result) => sum + result.goodWithin(boundMs), 0);
  return results.length === 0 ? 0 : good / results.length;
};

/**
 * The most that one of some loads got out of the server in time, on the average of all rounds: the best of single ones would be
 * that of the moment in which the machine did most.
 */
function peakOf(rounds: readonly (readonly LoadResult[])[], boundMs = Infinity): number {
  const loads = rounds[0] ?? [];
  return Math.max(
    ...loads.map((_, at) =>
      goodOf(
        rounds.flatMap((results) => results[at] ?? []),
        boundMs,
      ),
    ),
  );
}

/** What callers, of whom some wait and some do not, had answered in time in some rounds, at most. */
const capacityOf = (rounds: readonly Pick<Round, 'callers' | 'curve'>[], boundMs: number): number =>
  peakOf(
    rounds.map(({ callers, curve }) => [...callers, ...curve]),
    boundMs,
  );

async function measureRound(
  server: LoadedServer,
  before: readonly Round[],
  seconds: number,
): Promise<Round> {
  await wait(CALM_MS);
  const callers = await loadByCallers(server);
  const peak = peakOf([...before.map((one) => one.callers), callers]);
  const curve = await loadByCurve(server, peak);
  await wait(CALM_MS);
  const normal = await loadNormally(server, NORMAL * peak, NORMAL_SECONDS);
  const rounds = [...before, { callers, curve, normal }];
  const rate = 2 * capacityOf(rounds, boundOf(rounds));
  const over = await loadFreely(server, { rate, seconds });
  const after: LoadResult[] = [];
  while (after.length < RECOVERY_SECONDS) {
    after.push(await loadNormally(server, NORMAL * peak, 1));
  }
  return { callers, curve, normal, over, after };
}

function tellRound({ callers, curve, normal, over }: Round): void {
  callers.forEach((one, at) => {
    tell(`${String(CALLERS[at])} callers that wait`, one);
  });
  curve.forEach((one, at) => {
    tell(`${String(CURVE[at])} of it by those that don't`, one);
  });
  tell('normal', normal);
  tell('twice the capacity', over);
}

/** The p99 of normal load, in milliseconds. */
const normalOf = (rounds: readonly Pick<Round, 'normal'>[]): number =>
  middle(rounds.map(({ normal }) => normal.p99Ms));

/** Until when an answer is in time, in milliseconds. */
const boundOf = (rounds: readonly Pick<Round, 'normal'>[]): number => IN_TIME * normalOf(rounds);

function loadNormally(server: LoadedServer, rate: number, seconds: number): Promise<LoadResult> {
  return loadFreely(server, { rate, seconds, connections: CONNECTIONS / 6 });
}

/** What a part has measured, by name. */
interface Figures {
  readonly peak: number;
  readonly [name: string]: unknown;
}

async function measureOverload(server: LoadedServer): Promise<Figures> {
  // The first is for caches and compilers.
  await measureRound(server, [], OVER_SECONDS_FIRST);
  const residentMiB = mebibytes(await server.residentBytes());
  const health = watchHealth(server);
  const rounds: Round[] = [];
  while (rounds.length < ROUNDS) {
    const one = await measureRound(server, rounds, SECONDS);
    tellRound(one);
    rounds.push(one);
  }
  const probes = await health.stop();
  const boundMs = boundOf(rounds);
  const p99Ms = middle(rounds.map(({ over }) => over.p99Ms));
  return {
    ...{ rounds, probes, peak: Math.round(capacityOf(rounds, boundMs)) },
    goodput: goodputOf(rounds, boundMs),
    answered: goodputOf(rounds, Infinity),
    p99Ms,
    p99Ratio: round(p99Ms / normalOf(rounds)),
    residentMiBBefore: residentMiB,
    secondsUntilNormal: rounds.map(secondsUntilNormal),
  };
}

/** From then on all seconds were as before the overload. */
function secondsUntilNormal({ normal, after }: Round): number | string {
  const isNormal = ({ refusedPerSecond, p99Ms }: LoadResult): boolean =>
    refusedPerSecond === 0 && p99Ms <= 2 * normal.p99Ms;
  const seconds = 1 + after.findLastIndex((one) => !isNormal(one));
  return seconds < RECOVERY_SECONDS ? seconds : `at least ${String(seconds)}`;
}

/** What is answered well in so many milliseconds at twice the capacity, to the most that any load got so: of all rounds, and of each. */
function goodputOf(rounds: readonly Round[], boundMs: number): object {
  const peak = capacityOf(rounds, boundMs);
  const ratio = (results: readonly Round[]): number =>
    round(
      goodOf(
        results.map(({ over }) => over),
        boundMs,
      ) / peak,
    );
  return {
    ...{ boundMs: round(boundMs), peak: Math.round(peak) },
    ...{ ratio: ratio(rounds), ratios: rounds.map((one) => ratio([one])) },
  };
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
  const run = (seconds: number): Promise<LoadResult> =>
    runLoad({ port, request: next, seconds, rate, connections: 500 });
  const load = async (): Promise<LoadResult> => {
    await run(LEAD_SECONDS);
    return await run(BESIDE_SECONDS);
  };
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
  await run(WARM_SECONDS);
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

const { server: started, cores } = await startApart();
await using server = started;
const overload = PARTS.includes('overload') ? await measureOverload(server) : undefined;
const peak = overload?.peak ?? peakOf([await loadByCallers(server)]);
const stalled = PARTS.includes('stalled') ? await measureStalled(server, peak / 2) : undefined;
const idle = PARTS.includes('idle') ? await measureIdle(server) : undefined;
process.stdout.write(
  `${JSON.stringify({ bench: 'overload', node: process.version, cores, overload, stalled, idle })}\n`,
);
