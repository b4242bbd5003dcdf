import autocannon from 'autocannon';

/** What one workload did. */
export interface Measured {
  readonly name: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
}

/** One HTTP workload. */
export interface HttpWorkload {
  readonly name: string;
  readonly url: string;
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly connections?: number;
  readonly seconds?: number;
}

const CONNECTIONS = 32;
const SECONDS = 4;

/** Drives one HTTP workload, after a second that does not count. */
export async function measureHttp(workload: HttpWorkload): Promise<Measured> {
  const { name, url, method = 'GET', headers = {}, body, connections = CONNECTIONS } = workload;
  const shared = {
    url,
    method,
    headers: { ...headers },
    connections,
    ...(body === undefined ? {} : { body }),
  };
  await autocannon({ ...shared, duration: 1 });
  const result = await autocannon({ ...shared, duration: workload.seconds ?? SECONDS });
  return {
    name,
    perSecond: Math.round(result.requests.average),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failures: result.non2xx + result.errors + result.timeouts,
  };
}

/** Runs calls from several clients at once for some time; for what autocannon cannot speak. */
export async function measureCalls(
  name: string,
  call: (client: number, at: number) => Promise<unknown>,
  { clients = CONNECTIONS, seconds = SECONDS }: { clients?: number; seconds?: number } = {},
): Promise<Measured> {
  const latencies: number[] = [];
  let failures = 0;
  const run = async (untilMs: number, keep: boolean): Promise<void> => {
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let at = 0; performance.now() < untilMs; at++) {
          const startMs = performance.now();
          await call(client, at).catch(() => (failures += 1));
          if (keep) latencies.push(performance.now() - startMs);
        }
      }),
    );
  };
  await run(performance.now() + 1000, false);
  failures = 0;
  await run(performance.now() + seconds * 1000, true);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 100) / 100;
  const perSecond = Math.round(latencies.length / seconds);
  return { name, perSecond, p50Ms: at(0.5), p99Ms: at(0.99), failures };
}

/** Writes results with their ratio to one of them, as JSON and as a table of lines. */
export function report(bench: string, baseline: string, results: readonly Measured[]): void {
  const base = results.find(({ name }) => name === baseline)?.perSecond ?? NaN;
  const rows = results.map((result) => ({
    ...result,
    ratio: Math.round((result.perSecond / base) * 100) / 100,
  }));
  for (const { name, perSecond, ratio, p50Ms, p99Ms, failures } of rows) {
    const line = `${name.padEnd(34)} ${String(perSecond).padStart(7)}/s  ${ratio.toFixed(2).padStart(6)}  p50 ${String(p50Ms)} ms  p99 ${String(p99Ms)} ms`;
    process.stderr.write(failures === 0 ? `${line}\n` : `${line}  ${String(failures)} failed\n`);
  }
  process.stdout.write(`${JSON.stringify({ bench, baseline, node: process.version, rows })}\n`);
}
