/** What Prometheus and Grafana are asked is PromQL, by Prometheus' own grammar. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly refId: string; readonly expr: string }[];
  }[];
}

const rules = (parseYaml(textOf('deploy/alerts.yml')) as Rules).groups.flatMap((group) =>
  group.rules.map(({ alert, expr }) => [alert, expr] as const),
);
const dashboard = JSON.parse(textOf('deploy/grafana/dashboards/moltendb.json')) as Dashboard;
const panels = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ refId, expr }) => [`${title} ${refId}`, expr] as const),
);

/** Functions that ask for what was within a time. */
const OVER_TIME = /^(rate|irate|increase|delta|idelta|deriv|changes|resets|\w+_over_time)$/;

/** What is wrong with an expression; Grafana's variables stand for a duration or a text. */
function faultsOf(query: string): readonly string[] {
  const expression = query.replaceAll(/\$__\w+/g, '5m').trim();
  const faults: string[] = [];
  parser.parse(expression).iterate({
    enter(node) {
      const text = expression.slice(node.from, node.to);
      if (node.type.isError) faults.push(`not understood at ${String(node.from)}: '${text}'`);
      if (node.name !== 'FunctionCall') return;
      const name = /^\w+/.exec(text)?.[0] ?? '';
      const argument = text.slice(name.length);
      if (OVER_TIME.test(name) && !/\[\w+(:\w*)?\]/.test(argument))
        faults.push(`${name} without a time`);
    },
  });
  return faults;
}

describe.each([
  ['deploy/alerts.yml', rules],
  ['deploy/grafana/dashboards/moltendb.json', panels],
] as const)('%s', (_, expressions) => {
  it('has expressions', () => {
    expect(expressions.length).toBeGreaterThan(15);
  });

  it.each(expressions)('can be asked: %s', (_name, expression) => {
    expect(faultsOf(expression)).toEqual([]);
  });
});

describe('what is no PromQL', () => {
  it.each([
    ...['rate(molten_commits_total[5m]', 'molten_connections > > 3', 'sum by instance (up)'],
    ...['molten_rpc_failures_total{reason="x"', 'up{job=moltendb} == 0', 'up offset', ''],
    ...['histogram_quantil(0.99, up)', 'rate(molten_commits_total)', 'up == 0 for 5m', 'a[5x]'],
  ])('is found: %s', (expression) => {
    expect(faultsOf(expression)).not.toEqual([]);
  });
});
