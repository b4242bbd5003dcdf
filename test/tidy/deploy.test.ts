/** What is deployed beside the server names only metrics that it has. */
import { describe, expect, it } from 'vitest';

import { METRICS, type MetricSpec } from '../../src/platform/metric-catalogue.ts';
import { filesLike } from './tree.ts';

/** Every name that a scraper sees. */
const NAMES = new Set(
  Object.entries<MetricSpec>(METRICS).flatMap(([name, { kind }]) =>
    kind === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  ),
);

describe.each(['deploy/grafana/dashboards/moltendb.json', 'deploy/alerts.yml'])('%s', (path) => {
  const text = filesLike(/^deploy\//).find((file) => file.path === path)?.text ?? '';
  const named = [...text.matchAll(/\bmolten_[a-z0-9_]+/g)].map(([name]) => name);

  it('names only metrics that the server has', () => {
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !NAMES.has(name))).toEqual([]);
  });

  it('selects only by labels that they have', () => {
    const selected = [...text.matchAll(/\b(molten_[a-z0-9_]+)\{([^}]*)\}/g)];
    const wrong = selected.flatMap(([, name = '', inside = '']) => {
      const base = name.replace(/_(bucket|sum|count)$/, '');
      const { labels }: MetricSpec =
        METRICS[(base in METRICS ? base : name) as keyof typeof METRICS];
      const known = new Set([...labels, 'instance', 'job', 'le']);
      const used = [...inside.matchAll(/([a-z_]+) *(?:=~|!~|!=|=)/g)].map(
        ([, label = '']) => label,
      );
      return used.filter((label) => !known.has(label)).map((label) => `${name} has no ${label}`);
    });
    expect(wrong).toEqual([]);
  });
});

it('the dashboard is JSON with a panel for each title once', () => {
  const { text = '' } = filesLike(/^deploy\/grafana\/dashboards\/moltendb\.json$/)[0] ?? {};
  const { panels } = JSON.parse(text) as { readonly panels: readonly { readonly title: string }[] };
  const titles = panels.map(({ title }) => title);
  expect(new Set(titles).size).toBe(titles.length);
});

it('the page of metrics names every one of them', () => {
  const { text = '' } = filesLike(/^docs\/reference\/metrics\.md$/)[0] ?? {};
  expect(Object.keys(METRICS).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
