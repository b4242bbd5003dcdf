/** What is deployed beside the server names only metrics that it has. */
import { describe, expect, it } from 'vitest';

import { AuthService } from '../../gen/molten/v1/auth_pb.ts';
import { UserService } from '../../gen/molten/v1/users_pb.ts';
import { REASONS } from '../../src/errors/reason.ts';
import { METRICS, type MetricSpec } from '../../src/platform/metric-catalogue.ts';
import { filesLike } from './tree.ts';

const SERVICES = [AuthService, UserService];

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

it('the rules name only calls, results and reasons that there are', () => {
  const { text = '' } = filesLike(/^deploy\/alerts\.yml$/)[0] ?? {};
  const known = new Set(
    SERVICES.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`)),
  );
  const named = [...text.matchAll(/method=~?"(molten\.v1\.\w+)\/\(?([\w|]+)\)?"/g)].flatMap(
    ([, service = '', methods = '']) => methods.split('|').map((name) => `${service}/${name}`),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
  const reasons = [...text.matchAll(/reason="(\w+)"/g)].map(([, reason = '']) => reason);
  expect(reasons.filter((reason) => !(REASONS as readonly string[]).includes(reason))).toEqual([]);
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
