/** What is deployed with the server, checked as far as no container is needed for it. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { getOption, type DescField, type DescMethod, type DescService } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { field as fieldRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

import {
  OperationSchema,
  OperationService,
  WaitOperationRequestSchema,
} from '../../gen/molten/v1/operations_pb.ts';
import { CreateSnapshotRequestSchema, SnapshotService } from '../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../gen/molten/v1/system_pb.ts';
import { judgeConfig } from '../../src/config/load.ts';
import { OPTIONS } from '../../src/config/options.ts';
import { WATCH_TIMES } from '../../src/domain/watch/watches.ts';
import { routesOf } from '../../src/protocol/rest/route.ts';
import { SERVICES } from '../../src/protocol/services/mounted.ts';
import { certificate, privateKey } from '../support/certificate.ts';
import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const run = promisify(execFile);
const UNIT = 'deploy/moltendb.service';
const BALANCER = textOf('deploy/nodes/haproxy.cfg');

/** The settings of a unit; of one that comes twice the last. */
const settingsOf = (path: string): ReadonlyMap<string, string> =>
  new Map(
    textOf(path)
      .split('\n')
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

interface Service {
  readonly image: string;
  readonly extends?: { readonly file: string; readonly service: string };
  readonly user?: string;
  readonly read_only?: boolean;
  readonly privileged?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly (string | { readonly source: string })[];
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly ports?: readonly string[];
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const readCompose = (path: string): Compose => parse(textOf(path), { merge: true }) as Compose;
const compose = readCompose('compose.yaml');
const nodes = readCompose('compose.nodes.yaml');

/** A service with what it takes over from another file. */
const whole = (service: Service): Service =>
  service.extends === undefined
    ? service
    : { ...readCompose(service.extends.file).services[service.extends.service], ...service };

describe.each([
  ['compose.yaml', compose, 'moltendb'],
  ['compose.nodes.yaml', nodes, 'balancer'],
] as const)('%s', (_, { services, volumes: known, secrets: files }, reached) => {
  const all = Object.entries(services).map(([name, service]) => [name, whole(service)] as const);

  it.each(all)('lets %s do little', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    expect(service.user).toMatch(/^[1-9]\d*:\d+$/);
    expect(service.privileged).toBeUndefined();
    expect(service.image).not.toMatch(/:latest$/);
  });

  it('mounts only what is there, and nothing of ours to be written', () => {
    for (const [, { volumes = [], secrets = [] }] of all) {
      for (const volume of volumes) {
        const [source = '', , mode] = volume.split(':');
        if (!source.startsWith('.')) expect(known).toHaveProperty(source);
        else expect([existsSync(join(ROOT, source)), mode]).toEqual([true, 'ro']);
      }
      for (const secret of secrets) {
        expect(files).toHaveProperty(typeof secret === 'string' ? secret : secret.source);
      }
    }
  });

  it('keeps secrets where git does not see them, and lets only one service be reached', () => {
    for (const [name, { file }] of Object.entries(files)) {
      expect(file).toBe(`./deploy/secrets/${name}`);
    }
    expect(textOf('deploy/secrets/.gitignore')).toMatch(/^\*$/m);
    const ports = all.flatMap(([name, service]) =>
      (service.ports ?? []).filter((port) => !port.startsWith('127.0.0.1:')).map(() => name),
    );
    expect(ports).toEqual([reached]);
  });
});

describe.each([
  ['compose.yaml', 'deploy/molten.toml', compose.services['moltendb']?.stop_grace_period],
  ['compose.nodes.yaml', 'deploy/nodes/molten.toml', nodes.services['node1']?.stop_grace_period],
  ['the unit', 'docs/operating/production.md', settingsOf(UNIT).get('TimeoutStopSec')],
] as const)('%s', (_, configured, patience = '') => {
  const secondsOf = (name: string): number => {
    const [, given] = new RegExp(`^ *${name} = (\\d+)$`, 'm').exec(textOf(configured)) ?? [];
    return Number(given ?? OPTIONS.find((option) => option.name === name)?.fallback);
  };

  it('waits longer for a server to stop than one takes, which balancers see in time', () => {
    // Calls have five seconds.
    const longest = secondsOf('shutdown-delay') + 5 + secondsOf('shutdown-timeout');
    expect(Number.parseInt(patience)).toBeGreaterThan(longest);
    const [, seconds, looks] = /inter (\d+)s fall (\d+)/.exec(BALANCER) ?? [];
    expect(secondsOf('shutdown-delay')).toBeGreaterThan((Number(looks) + 1) * Number(seconds));
  });
});

/** Calls that are answered when something has ended: how long they may wait for it. */
const waits = [CreateSnapshotRequestSchema.field.wait, WaitOperationRequestSchema.field.timeout];

function longestOf(wait: DescField): number {
  const { type } = getOption(wait, fieldRules);
  const most = type.case === 'duration' ? type.value.lessThan : undefined;
  if (most?.case !== 'lte') throw new Error(`${wait.toString()} has no bound`);
  return durationMs(most.value);
}

/** What a balancer sends by its rule `of_one_node`. */
function isOfOneNode(balancer: string, path: string): boolean {
  const rules = [...balancer.matchAll(/^ +acl of_one_node (path|path_beg) (.+)$/gm)];
  return rules.some(([, how, values = '']) =>
    values.split(' ').some((one) => (how === 'path' ? path === one : path.startsWith(one))),
  );
}

/** Every path of an RPC, over every protocol. */
function pathsOf(rpc: DescMethod): readonly string[] {
  const templates = routesOf(rpc).map(({ template }) => template.replaceAll(/\{\w+\}/g, 'x'));
  return [`/${rpc.parent.typeName}/${rpc.name}`, ...templates];
}

describe('compose.nodes.yaml', () => {
  const names = Object.keys(nodes.services).filter((name) => /^node\d$/.test(name));
  const balancer = BALANCER;

  it('has a load balancer that knows every node, and waits longer than a watch or a call is silent', () => {
    expect(names).toHaveLength(3);
    for (const protocol of ['http', 'grpc', 'http_one_node', 'grpc_one_node']) {
      const [, backend = ''] = balancer.split(`\nbackend ${protocol}\n`);
      const servers = [...backend.split('\nbackend')[0]!.matchAll(/^ +server (\w+) (\S+)/gm)];
      expect(servers.map(([, name, address]) => [name, address])).toEqual(
        names.map((name) => [name, `${name}:1538`]),
      );
    }
    const timeouts = [...balancer.matchAll(/timeout (?:client|server|tunnel) (\d+)s/g)];
    expect(timeouts).toHaveLength(3);
    const silences = [2 * WATCH_TIMES.bookmarkMs, ...waits.map(longestOf)];
    for (const [, seconds] of timeouts) {
      expect(Number(seconds) * 1000).toBeGreaterThan(Math.max(...silences));
    }
    const scraped = parse(textOf('deploy/nodes/prometheus.yml')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    const { targets } = scraped.scrape_configs[0]!.static_configs[0]!;
    expect(targets).toEqual(names.map((name) => `${name}:9464`));
  });

  it('has one node for all that belongs to a node, and every node for the rest', () => {
    const own: readonly DescService[] = [OperationService, SnapshotService];
    const all = Object.values<DescService>({ ...SERVICES }).flatMap(({ methods }) => methods);
    const [there, elsewhere] = [true, false].map((isOwn) =>
      all.filter(({ parent }) => own.includes(parent) === isOwn).flatMap(pathsOf),
    );
    const sticks = (path: string): boolean => isOfOneNode(balancer, path);
    expect(there!.filter((path) => !sticks(path))).toEqual([]);
    expect(elsewhere!.filter(sticks)).toEqual([]);
    expect(['/snapshot', '/set', '/system/health'].map(sticks)).toEqual([true, false, false]);
    // Nodes of one store refuse to rotate a data key.
    const begins = all.filter(({ output }) =>
      output.fields.some(({ message }) => message === OperationSchema),
    );
    const apart = begins.filter(({ parent }) => !own.includes(parent));
    expect(apart).toEqual([SystemService.method.rotateDataKey]);
  });

  it('sends what belongs to a node to the same one over each protocol, the others in reserve', () => {
    const used = [...balancer.matchAll(/^ +(?:use|default)_backend (.+)$/gm)].map(
      ([, rule]) => rule,
    );
    expect(used).toEqual([
      'grpc_one_node if of_one_node grpc !grpc_web',
      'http_one_node if of_one_node',
      'grpc if grpc !grpc_web',
      'http',
    ]);
    for (const protocol of ['http', 'grpc']) {
      const [, backend = ''] = balancer.split(`\nbackend ${protocol}_one_node\n`);
      const lines = backend.split('\nbackend')[0]!.match(/^ +server .+$/gm) ?? [];
      expect(lines.map((line) => line.endsWith(' backup'))).toEqual([false, true, true]);
      expect(backend.split('\nbackend')[0]).not.toMatch(/balance|allbackups/);
    }
  });

  it('gives the nodes a configuration that they start with, and secrets as the page makes them', () => {
    using directory = createTemporaryDirectory();
    const [, block = ''] =
      /^## Three nodes in containers\n.*?```sh\n(.*?)^```$/ms.exec(
        textOf('docs/operating/postgres.md'),
      ) ?? [];
    const script = block.replace('cd deploy/secrets', `cd ${directory.path}`);
    execFileSync('bash', ['-euo', 'pipefail', '-c', script], { stdio: 'pipe' });
    const made = readdirSync(directory.path);
    const brought = ['tls-cert', 'tls-key'];
    expect([...made, ...brought].toSorted()).toEqual(Object.keys(nodes.secrets).toSorted());
    writeFileSync(
      join(directory.path, 'molten.toml'),
      textOf('deploy/nodes/molten.toml')
        .replaceAll('/run/secrets', directory.path)
        .replaceAll(/"\/(data|archive)"/g, (_, name: string) =>
          JSON.stringify(join(directory.path, name)),
        ),
    );
    const flags = { config: join(directory.path, 'molten.toml') };
    const judged = judgeConfig({ flags, environment: {} });
    expect(judged).toMatchObject({ faults: [], warnings: [] });
    expect(textOf('deploy/nodes/molten.toml')).toContain(
      `trusted-proxy = ["${nodes.services['balancer']!.networks!.default.ipv4_address}"]`,
    );
  });
});

describe('compose.yaml', () => {
  it('gives the server a configuration that it starts with', () => {
    using directory = createTemporaryDirectory();
    const put = (name: string, text: string): void => {
      writeFileSync(join(directory.path, name), text, { mode: 0o600 });
    };
    for (const name of ['jwt-secret', 'root-password', 'encryption-key']) {
      put(name, `the ${name} of a test, 0123456789abcdef`);
    }
    put('cert.pem', certificate);
    put('key.pem', privateKey);
    put(
      'molten.toml',
      textOf('deploy/molten.toml')
        .replaceAll(/\/run\/secrets|\/etc\/moltendb\/tls/g, directory.path)
        .replaceAll(/"\/(data|archive)"/g, (_, name: string) =>
          JSON.stringify(join(directory.path, name)),
        ),
    );
    const flags = { config: join(directory.path, 'molten.toml') };
    expect(judgeConfig({ flags, environment: {} })).toMatchObject({ faults: [], warnings: [] });
  });

  it('shows Grafana the whole dashboard, where its provider looks', () => {
    const { volumes = [] } = compose.services['grafana'] ?? {};
    const provider = parse(textOf('deploy/grafana/provisioning/dashboards/moltendb.yml')) as {
      readonly providers: readonly { readonly options: { readonly path: string } }[];
    };
    const { path } = provider.providers[0]!.options;
    const source = volumes.find((volume) => volume.split(':')[1] === path)?.split(':')[0] ?? '';
    const files = readdirSync(join(ROOT, source));
    const panels = files.flatMap(
      (file) => (JSON.parse(textOf(join(source, file))) as { panels: object[] }).panels,
    );
    expect(files).toEqual(['moltendb.json']);
    expect(panels.length).toBeGreaterThan(15);
  });

  it('has Prometheus and Grafana files that can be read', () => {
    const prometheus = parse(textOf('deploy/prometheus.yml')) as { rule_files: string[] };
    expect(prometheus.rule_files).toEqual(['alerts.yml']);
    const alerts = parse(textOf('deploy/alerts.yml')) as { groups: unknown[] };
    expect(alerts.groups.length).toBeGreaterThan(0);
  });
});

describe('the Dockerfile', () => {
  const lines = textOf('Dockerfile').split('\n');

  it('runs as nobody special, from an official image, and is asked how it does', () => {
    const stages = lines.filter((line) => line.startsWith('FROM '));
    expect(stages).toEqual(['FROM node:24-slim AS build', 'FROM node:24-slim']);
    expect(lines).toContain('USER 1000:1000');
    expect(lines.some((line) => line.startsWith('HEALTHCHECK '))).toBe(true);
    expect(lines.findLast((line) => line.startsWith('ENTRYPOINT '))).toContain('bin/molten.js');
  });

  it('copies only what is there and what the context lets through', () => {
    const context = textOf('.dockerignore').split('\n');
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1));
    for (const path of copied) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(context).toContain(`!${path}`);
    }
  });

  it('has a health check that knows a ready server from none', async () => {
    using directory = createTemporaryDirectory();
    const check = (url: string): Promise<unknown> =>
      run(process.execPath, [join(ROOT, 'deploy/healthcheck.mjs')], { env: { MOLTEN_URL: url } });
    const args = ['--dev-mode', '--port', '0', '--db-path', directory.path];
    await using server = await startServe({ args });
    await expect(check(server.url)).resolves.toMatchObject({ stderr: '' });
    await server.stop('SIGTERM');
    await expect(check(server.url)).rejects.toMatchObject({ code: 1 });
  });
});

describe('the systemd unit', () => {
  it('gives the server its store and nothing else', () => {
    const settings = settingsOf(UNIT);
    const wanted = {
      ...{ User: 'moltendb', NoNewPrivileges: 'yes', ProtectSystem: 'strict', ProtectHome: 'yes' },
      ...{ PrivateTmp: 'yes', PrivateDevices: 'yes', CapabilityBoundingSet: '', UMask: '0077' },
      ...{ StateDirectory: 'moltendb' },
      ...{ RestartPreventExitStatus: '2', ExecReload: '/bin/kill -HUP $MAINPID' },
    };
    for (const [name, value] of Object.entries(wanted)) expect(settings.get(name)).toBe(value);
  });
});
