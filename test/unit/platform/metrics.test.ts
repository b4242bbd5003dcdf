import { describe, expect, it } from 'vitest';

import { createMetrics } from '../../../src/platform/metrics.ts';
import { parseMetrics } from '../../support/prometheus.ts';

describe('a metric that cannot be read', () => {
  it('has no sample, is counted and told once, and the others are told all the same', async () => {
    const told: string[] = [];
    const metrics = createMetrics({
      onFailure: (name, error) => told.push(`${name}: ${String(error)}`),
    });
    const state = { isAway: true };
    const read = (): number => {
      if (state.isAway) throw new Error('away');
      return 7;
    };
    metrics.read('molten_documents', read);
    metrics.read('molten_commits_total', async () => read());
    metrics.read('molten_watchers', async () => [[{ state: 'live' }, read()]]);
    metrics.read('molten_store_writable', () => 0);
    const scrape = async (): Promise<Record<string, readonly number[]>> =>
      Object.fromEntries(
        [...parseMetrics(await metrics.render()).values()].map(({ name, samples }) => [
          name,
          samples.map(({ value }) => value),
        ]),
      );
    const unread = { molten_documents: [], molten_commits_total: [], molten_watchers: [] };
    expect(await scrape()).toMatchObject({ ...unread, molten_store_writable: [0] });
    expect(await scrape()).toMatchObject({ ...unread, molten_store_writable: [0] });
    expect(told.toSorted()).toEqual([
      'molten_commits_total: Error: away',
      'molten_documents: Error: away',
      'molten_watchers: Error: away',
    ]);
    state.isAway = false;
    expect(await scrape()).toEqual({
      ...{ molten_metric_failures_total: [6], molten_documents: [7], molten_commits_total: [7] },
      ...{ molten_watchers: [7], molten_store_writable: [0] },
    });
    state.isAway = true;
    await scrape();
    expect(told).toHaveLength(6);
  });

  it('is left out as well when it never answers', async () => {
    const told: string[] = [];
    const metrics = createMetrics({
      readingMsMax: 20,
      onFailure: (name, error) => told.push(`${name}: ${String(error)}`),
    });
    metrics.read('molten_documents', () => new Promise<number>(() => undefined));
    metrics.read('molten_store_writable', () => 1);
    const families = parseMetrics(await metrics.render());
    expect(families.get('molten_documents')?.samples).toEqual([]);
    expect(families.get('molten_store_writable')?.samples).toMatchObject([{ value: 1 }]);
    expect(told).toEqual(['molten_documents: Error: no answer within 20 ms']);
  });
});
