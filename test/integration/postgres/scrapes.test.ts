/** What a scraper reads while the database is away: all that does not need it, and so that it is away. */
import { afterAll, beforeAll, expect, it } from 'vitest';

import { parseMetrics, valueOf, type ScrapedFamily } from '../../support/prometheus.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer } from '../../support/server.ts';
import { newSchema } from './scene.ts';

const LOOKS = { interval: 250, timeout: 30_000 };

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

it('is told what the rules of alerts look at while the database is away', async () => {
  const { password } = database;
  await using server = await startTestServer({
    storage: { url: database.url(newSchema()), password, connections: 4 },
    metrics: { host: '127.0.0.1', port: 0 },
  });
  const scrape = async (): Promise<ReadonlyMap<string, ScrapedFamily>> => {
    const answer = await fetch(server.metricsUrl ?? '');
    expect(answer.status).toBe(200);
    return parseMetrics(await answer.text());
  };
  const collections = async (): Promise<number | undefined> =>
    (await scrape()).get('molten_collections')?.samples.length;
  await expect.poll(collections, LOOKS).toBe(1);
  await database.kill();
  const writable = async (): Promise<number> => valueOf(await scrape(), 'molten_store_writable');
  await expect.poll(writable, LOOKS).toBe(0);
  const lag = async (): Promise<number> => valueOf(await scrape(), 'molten_store_lag_seconds');
  await expect.poll(lag, LOOKS).toBeGreaterThan(3);
  const families = await scrape();
  expect(families.get('molten_collections')?.samples).toEqual([]);
  expect(families.get('molten_users')?.samples).toEqual([]);
  expect(valueOf(families, 'molten_metric_failures_total')).toBeGreaterThan(0);
  expect(valueOf(families, 'molten_process_resident_bytes')).toBeGreaterThan(0);
  await database.start();
  await expect.poll(collections, LOOKS).toBe(1);
});
