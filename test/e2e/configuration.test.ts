import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { describe, expect, it } from 'vitest';

import { OPTIONS } from '../../src/config/options.ts';
import { delay } from '../../src/platform/timers.ts';
import {
  certificate,
  otherCertificate,
  otherPrivateKey,
  privateKey,
} from '../support/certificate.ts';
import { createMolten } from '../support/molten.ts';
import { parseMetrics, valueOf } from '../support/prometheus.ts';
import { freePort } from '../support/served.ts';
import { refusedStart, startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more';
const PASSWORD = 'a password long enough for tests';
const SECRETS = { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_ROOT_PASSWORD: PASSWORD };

/** What `molten config check` finds. */
interface Checked {
  readonly ok: boolean;
  readonly faults: readonly { readonly key: string }[];
}

describe('molten config', () => {
  it('writes a file to start from, once, for its owner only', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, SECRETS);
    const file = join(directory.path, 'molten.toml');
    expect(await molten('config', 'init', file)).toMatchObject({ code: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const written = readFileSync(file, 'utf8');
    expect(written).toContain('\n# port = 1538\n');
    const again = await molten('config', 'init', file);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('is there');
    expect(readFileSync(file, 'utf8')).toBe(written);
    expect(await molten('config', 'check', '--config', file)).toMatchObject({ code: 0 });
  });

  it('checks without making anything, and tells all faults at once', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, { MOLTENDB_JWT_SECRET: 'short' });
    const store = join(directory.path, 'store');
    const args = ['config', 'check', '--db-path', store, '--host', '0.0.0.0', '--json'];
    const { code, stdout } = await molten(...args);
    expect(code).toBe(2);
    const { ok, faults } = JSON.parse(stdout) as Checked;
    expect(ok).toBe(false);
    expect(faults.map(({ key }) => key)).toEqual([
      'MOLTENDB_JWT_SECRET',
      '--root-password',
      '--host',
    ]);
    expect(await molten('config', 'check', '--dev-mode', '--db-path', store)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('MOLTENDB_JWT_SECRET is shorter'),
    });
    expect(statSync(store, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('tells a flag that is unknown beside everything else, and shows no value of it', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, { MOLTENDB_ROOT_PASSWORD: PASSWORD });
    const line = [`--jwt-secert=${SECRET}`, '--no-srtict', '--host', '0.0.0.0'];
    const mistakes = [
      '--jwt-secert is unknown; did you mean --jwt-secret?',
      '--no-srtict is unknown; did you mean --no-strict?',
    ];
    const check = await molten('config', 'check', ...line);
    const explain = await molten('config', 'explain', ...line);
    const doctor = await molten('doctor', ...line);
    const outside = await molten('doctor', '--url', 'http://127.0.0.1:1', '--porfile', SECRET);
    for (const { stdout, stderr } of [check, explain, doctor, outside]) {
      expect(stdout + stderr).not.toContain(SECRET);
      expect(stdout + stderr).not.toContain('USAGE');
    }
    for (const mistake of mistakes) {
      expect(check.stderr).toContain(`fault: ${mistake}`);
      expect(explain.stderr).toContain(`fault: ${mistake}`);
      expect(doctor.stdout).toContain(mistake);
    }
    expect(check.stderr).toContain('fault: --host is not this machine');
    expect(outside.stdout).toContain('--porfile is unknown; did you mean --profile?');
    expect([check.code, explain.code, doctor.code, outside.code]).toEqual([2, 2, 1, 1]);
    const stray = await molten('config', 'check', '--strict', SECRET);
    expect(stray).toMatchObject({ code: 2, stderr: expect.stringContaining('belongs to no flag') });
    expect(stray.stderr).not.toContain(SECRET);
    const short = await molten('config', 'check', `-p${SECRET}`, `-x=${SECRET}`);
    expect(short.stderr).toMatch(/^fault: -p is unknown/m);
    expect(short.stdout + short.stderr).not.toContain(SECRET);
  });

  it('explains where each value comes from, and shows no secret', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, SECRETS);
    const args = ['config', 'explain', '--port', '4711'];
    const { options } = await molten.json<{ readonly options: readonly object[] }>(...args);
    expect(options).toContainEqual({ name: 'port', value: '4711', origin: '--port' });
    expect(options).toContainEqual({ name: 'host', value: '127.0.0.1', origin: 'default' });
    expect(options).toContainEqual({
      ...{ name: 'jwt-secret', value: '********', origin: 'MOLTENDB_JWT_SECRET' },
    });
    const { stdout } = await molten(...args);
    expect(stdout).toMatch(/^port +4711 +--port$/m);
    expect(stdout).not.toContain(SECRET);
  });

  it('warns of callers that cannot be told apart, where no proxy is named', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, SECRETS);
    const warned = async (...line: readonly string[]): Promise<boolean> => {
      const { code, stderr } = await molten('config', 'check', ...line);
      expect(code, stderr).toBe(0);
      return stderr.includes('warning: --trusted-proxy is missing: behind a proxy');
    };
    const clear = ['--host', '0.0.0.0', '--allow-cleartext'];
    expect(await warned(...clear)).toBe(true);
    expect(await warned(...clear, '--trusted-proxy', '10.0.0.7')).toBe(false);
    expect(await warned('--allow-cleartext')).toBe(false);
    const tls = { cert: certificate, key: privateKey };
    for (const [name, text] of Object.entries(tls)) {
      writeFileSync(join(directory.path, name), text, { mode: 0o600 });
    }
    const files = Object.keys(tls).flatMap((name) => [`--${name}`, join(directory.path, name)]);
    expect(await warned(...clear, ...files)).toBe(false);
  });

  it('shows no password that stands in a URL', async () => {
    using directory = createTemporaryDirectory();
    const shown = {
      'storage-url': ['postgres://molten:hunter2@db.example.org/app?password=hunter2', '********'],
      'otlp-endpoint': ['https://hunter2:x@otlp.example.org', '********'],
      'vault-address': ['https://hunter2@vault.example.org', '********'],
      'ldap-url': ['ldaps://cn:hunter2 and more@ldap.example.org', '********'],
      'alert-webhook-url': [
        'https://hooks.example.org/a?token=hunter2&b=c',
        'https://hooks.example.org/a?********',
      ],
      'oidc-issuer': ['http://u:hunter2@issuer.example.org', '********'],
      'cors-origin': ['https://u:a,hunter2@app.example.org', '********'],
      port: ['redis://a:hunter2@b', '********'],
    };
    const password = 'hunter2';
    const line = Object.entries(shown).flatMap(([name, [text = '']]) => [`--${name}`, text]);
    const molten = createMolten(directory.path, SECRETS);
    const explained = await molten('config', 'explain', ...line, '--json');
    const { options } = JSON.parse(explained.stdout) as { readonly options: readonly object[] };
    for (const [name, [, value]] of Object.entries(shown)) {
      expect(options).toContainEqual({ name, value, origin: `--${name}` });
    }
    const check = await molten('config', 'check', ...line);
    expect(check.stderr).toContain("--oidc-issuer is '********'; use https://");
    expect(check.stderr).toContain("--cors-origin has '********'; give origins such as https://");
    expect(check.stderr).toContain("--port is '********'; wants");
    const refused = await refusedStart({
      args: line,
      variables: SECRETS,
      directory: directory.path,
    });
    const told = [check, explained].map(({ stdout, stderr }) => stdout + stderr);
    for (const text of [...told, refused.stderr]) {
      expect(text).not.toContain(password);
    }
  });
});

/** What Kubernetes puts into a pod for a Service of this name. */
function linksOf(service: string): Readonly<Record<string, string>> {
  const address = 'tcp://10.0.0.1:8080';
  return {
    [`${service}_SERVICE_HOST`]: '10.0.0.1',
    [`${service}_SERVICE_PORT`]: '8080',
    [`${service}_SERVICE_PORT_HTTP`]: '8080',
    [`${service}_PORT`]: address,
    [`${service}_PORT_8080_TCP`]: address,
    [`${service}_PORT_8080_TCP_PROTO`]: 'tcp',
    [`${service}_PORT_8080_TCP_PORT`]: '8080',
    [`${service}_PORT_8080_TCP_ADDR`]: '10.0.0.1',
  };
}

describe('the variables of a Service of Kubernetes', () => {
  it('are left alone, with a warning, though they look like options', async () => {
    using directory = createTemporaryDirectory();
    const links = { ...linksOf('MOLTENDB'), ...linksOf('MOLTENDB_METRICS') };
    await using server = await startServe({
      args: ['--db-path', join(directory.path, 'store'), '--port', '0'],
      variables: { ...SECRETS, ...links },
    });
    const warning = /^warning: (.*) are of a Service of Kubernetes.*enableServiceLinks: false/m;
    const named = warning.exec(server.stderr())?.[1]?.split(', ');
    expect(named?.toSorted()).toEqual(Object.keys(links).toSorted());
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it('are errors as ever where they are not all of one, or the port is no address', async () => {
    using directory = createTemporaryDirectory();
    const { MOLTENDB_SERVICE_HOST: host = '', ...others } = linksOf('MOLTENDB');
    const without = createMolten(directory.path, { ...SECRETS, ...others });
    const { stderr } = await without('config', 'check');
    for (const name of Object.keys(others)) expect(stderr).toContain(`fault: ${name} is `);
    const wrong = { MOLTENDB_SERVICE_HOST: host, MOLTENDB_PORT: 'x', MOLTENDB_SERVICE_PROT: '1' };
    const mistaken = createMolten(directory.path, { ...SECRETS, ...wrong });
    const checked = await mistaken('config', 'check');
    expect(checked.stderr).toContain("fault: MOLTENDB_PORT is 'x'; wants");
    expect(checked.stderr).toContain('fault: MOLTENDB_SERVICE_PROT is unknown');
    expect(checked.stderr).not.toContain('fault: MOLTENDB_SERVICE_HOST');
  });
});

/** What a server logs of a reload. */
interface Reloaded {
  readonly level: string;
  readonly changed?: readonly string[];
  readonly needsRestart?: readonly string[];
  readonly problem?: string;
}

/** Tells a server to read its configuration again, and waits for what it says about that. */
async function reload(server: ServeProcess): Promise<Reloaded | undefined> {
  const before = reloads(server).length;
  server.child.kill('SIGHUP');
  for (;;) {
    const all = reloads(server);
    if (all.length > before) return all.at(-1);
    await delay(20);
  }
}

function reloads(server: ServeProcess): readonly Reloaded[] {
  return server
    .stderr()
    .split('\n')
    .filter((line) => line.includes('reloaded') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Reloaded);
}

/** Whether a server answers to who shows this certificate. */
function isTaken(url: string, shown: { cert: string; key: string }): Promise<boolean> {
  const options = { ...shown, ca: certificate, servername: 'localhost', agent: false };
  return new Promise((resolve) => {
    get(`${url}/healthz`, options, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).on('error', () => {
      resolve(false);
    });
  });
}

function shownCertificate(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname: host, port } = new URL(url);
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.toString() ?? '');
      socket.destroy();
    }).on('error', reject);
  });
}

/** Sends SIGHUP to its own process: before the command is loaded, and before a server listens. */
const HANG_UPS = `
  import { registerHooks } from 'node:module';
  import { Server } from 'node:net';
  const hangUp = () => process.kill(process.pid, 'SIGHUP');
  registerHooks({
    load(url, context, next) {
      if (url.endsWith('/dist/cli/bin/run.js')) hangUp();
      return next(url, context);
    },
  });
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    hangUp();
    return listen.apply(this, args);
  };
`;

describe('SIGHUP', () => {
  it('does not end a server that starts, and is obeyed once it has', async () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, `db-path = ${JSON.stringify(join(directory.path, 'store'))}\nport = 0\n`);
    const preload = `--import=data:text/javascript,${encodeURIComponent(HANG_UPS)}`;
    await using server = await startServe({
      args: ['--config', config],
      variables: { ...SECRETS, NODE_OPTIONS: preload },
    });
    await expect.poll(() => reloads(server)).toMatchObject([{ level: 'info', changed: [] }]);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it('takes over origins, limits and the log level, and names what waits for a restart', async () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    const fixed = `db-path = ${JSON.stringify(join(directory.path, 'store'))}\nport = 0\n`;
    writeFileSync(config, fixed);
    await using server = await startServe({ args: ['--config', config], variables: SECRETS });
    const origin = 'https://app.example.org';
    const ask = (): Promise<Response> => fetch(`${server.url}/v1/health`, { headers: { origin } });
    expect((await ask()).headers.get('access-control-allow-origin')).toBeNull();

    const next = `cors-origin = ["${origin}"]\nrate-limit-requests = 3\nlog-level = "debug"\n`;
    writeFileSync(config, `${fixed}${next}write-mode = "async"\n`);
    expect(await reload(server)).toMatchObject({
      level: 'warn',
      changed: ['corsOrigins', 'rateLimit', 'logLevel'],
      needsRestart: ['write-mode'],
    });
    const answers = [await ask(), await ask(), await ask(), await ask()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers[0]?.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answers[0]?.headers.get('access-control-allow-credentials')).toBeNull();
    expect(server.stderr()).toContain('"level":"debug"');

    writeFileSync(config, `${fixed}cors-origin = ["*", "https://b.example"]\nprot = 1\n`);
    const refused = await reload(server);
    expect(refused).toMatchObject({ level: 'error' });
    expect(refused?.problem).toContain('did you mean port?');
    expect((await ask()).headers.get('access-control-allow-origin')).toBe(origin);
    expect(await server.stop('SIGTERM')).toBe(0);
  });

  it('takes over every other limit that says so', async () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    const limits = OPTIONS.filter(({ reloads, type }) => reloads === true && type.kind === 'whole');
    const store = JSON.stringify(join(directory.path, 'store'));
    const port = await freePort();
    const textWith = (value: number): string =>
      [`db-path = ${store}`, 'port = 0', `metrics-port = ${port}`]
        .concat(limits.map(({ name }, at) => `${name} = ${String(value - at)}`))
        .join('\n');
    writeFileSync(config, textWith(500));
    await using server = await startServe({ args: ['--config', config], variables: SECRETS });
    const told = async (): Promise<readonly number[]> => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const metrics = parseMetrics(text);
      return limits.map(({ name }) => valueOf(metrics, 'molten_limit', { option: name }));
    };
    expect(await told()).toEqual(limits.map((_, at) => 500 - at));
    writeFileSync(config, textWith(400));
    expect(await reload(server)).toMatchObject({ level: 'info', needsRestart: [] });
    expect(await told()).toEqual(limits.map((_, at) => 400 - at));
    expect(limits.length).toBeGreaterThan(7);
  });

  it('believes other authorities of client certificates', async () => {
    using directory = createTemporaryDirectory();
    const file = (name: string, text: string): string => {
      const path = join(directory.path, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const args = [
      ...['--db-path', join(directory.path, 'store'), '--port', '0'],
      ...['--cert', file('cert.pem', certificate), '--key', file('key.pem', privateKey)],
      ...['--client-ca', file('ca.pem', otherCertificate)],
    ];
    await using server = await startServe({ args, variables: SECRETS });
    const own = { cert: certificate, key: privateKey };
    const other = { cert: otherCertificate, key: otherPrivateKey };
    expect([await isTaken(server.url, other), await isTaken(server.url, own)]).toEqual([
      ...[true, false],
    ]);
    file('ca.pem', certificate);
    expect(await reload(server)).toMatchObject({ changed: ['tls'], needsRestart: [] });
    expect([await isTaken(server.url, other), await isTaken(server.url, own)]).toEqual([
      ...[false, true],
    ]);
  });

  it('shows a renewed certificate, and keeps the old one when the new one is broken', async () => {
    using directory = createTemporaryDirectory();
    const cert = join(directory.path, 'cert.pem');
    const key = join(directory.path, 'key.pem');
    writeFileSync(cert, certificate);
    writeFileSync(key, privateKey, { mode: 0o600 });
    const store = join(directory.path, 'store');
    const args = ['--db-path', store, '--port', '0', '--cert', cert, '--key', key];
    await using server = await startServe({ args, variables: SECRETS });
    expect(await shownCertificate(server.url)).toBe(certificate);

    writeFileSync(cert, otherCertificate);
    expect((await reload(server))?.problem).toContain('is not the key of the certificate');
    expect(await shownCertificate(server.url)).toBe(certificate);

    writeFileSync(key, otherPrivateKey);
    expect(await reload(server)).toMatchObject({ changed: ['tls'], needsRestart: [] });
    expect(await shownCertificate(server.url)).toBe(otherCertificate);
  });
});
