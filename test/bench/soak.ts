/**
 * Half of what the server can do, for as long as `MOLTEN_SOAK_MINUTES` says (1), with watches that come and
 * go: how fast memory, descriptors and the delay of the event loop grow. Slopes are by least squares,
 * without the first quarter. `MOLTEN_HEAP_MIB` bounds the heap of the server: what grows in it without
 * bound ends the server then, where it would take hours to see otherwise.
 */
import { runLoad } from './open-load.ts';
import { request, startLoaded, type LoadedServer } from './mixed-load.ts';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

const MINUTES = Number(process.env['MOLTEN_SOAK_MINUTES'] ?? 1);
const HEAP_MIB = process.env['MOLTEN_HEAP_MIB'];
const SAMPLE_MS = 1000;
const MINUTES_PER_HOUR = 60;

interface Sample {
  readonly minutes: number;
  readonly residentMiB: number;
  readonly openFiles: number;
  readonly eventLoopP99Ms: number;
}

/** Watches for half a second, and leaves without a word. */
async function watchBriefly({ port, token }: LoadedServer): Promise<void> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.resume();
  socket.write(request(token, { line: 'GET /v1/watch?collection=bench' }));
  await wait(500);
  socket.destroy();
}

async function sampleUntil(server: LoadedServer, isOver: () => boolean): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  while (!isOver()) {
    await Promise.all([watchBriefly(server), watchBriefly(server)]);
    samples.push({
      minutes: (performance.now() - startMs) / 60_000,
      residentMiB: (await server.residentBytes()) / 1024 / 1024,
      openFiles: server.openFiles(),
      eventLoopP99Ms: await server.eventLoopP99Ms(),
    });
    await wait(SAMPLE_MS / 2);
  }
  return samples;
}

/** The mean of each fifth, in order. */
function fifths(values: readonly number[]): readonly number[] {
  const length = Math.ceil(values.length / 5);
  return [0, 1, 2, 3, 4].map((at) => {
    const some = values.slice(at * length, (at + 1) * length);
    return Math.round((some.reduce((sum, value) => sum + value, 0) / some.length) * 10) / 10;
  });
}

/** The slope of the line nearest to the samples, in an hour, without the first quarter. */
function slopeOf(all: readonly Sample[], name: keyof Sample): object {
  const samples = all.slice(Math.floor(all.length / 4));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const times = samples.map(({ minutes }) => minutes);
  const values = samples.map((sample) => sample[name]);
  const [time, value] = [mean(times), mean(values)];
  const covariance = times.reduce(
    (sum, at, n) => sum + (at - time) * ((values[n] ?? value) - value),
    0,
  );
  const variance = times.reduce((sum, at) => sum + (at - time) ** 2, 0);
  const perHour = Math.round((covariance / variance) * MINUTES_PER_HOUR * 100) / 100;
  return { fifths: fifths(all.map((sample) => sample[name])), perHour };
}

await using server = await startLoaded(
  undefined,
  HEAP_MIB === undefined ? {} : { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` },
);
const { port, request: next } = server;
const peak = await runLoad({ port, request: next, seconds: 5, connections: 64 });
let isOver = false;
const sampling = sampleUntil(server, () => isOver);
const load = await runLoad({
  ...{ port, request: next, seconds: MINUTES * 60, connections: 200 },
  rate: peak.goodPerSecond / 2,
});
isOver = true;
const samples = await sampling;
const slopes = Object.fromEntries(
  (['residentMiB', 'openFiles', 'eventLoopP99Ms'] as const).map((name) => [
    name,
    slopeOf(samples, name),
  ]),
);
process.stderr.write(`${JSON.stringify(slopes, undefined, 1)}\n`);
process.stdout.write(
  `${JSON.stringify({ bench: 'soak', node: process.version, minutes: MINUTES, heapMiB: HEAP_MIB, load, slopes })}\n`,
);
