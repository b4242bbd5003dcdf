import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';

import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { ServingState, SystemService } from '../../gen/molten/v1/system_pb.ts';
import { certificate, privateKey } from '../support/certificate.ts';
import { overheard } from '../support/overheard.ts';
import { refusedStart, startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more';
const PASSWORD = 'a password long enough for tests';

async function login(url: string, password: string): Promise<string> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'root', password }),
  });
  return ((await response.json()) as { token: string }).token;
}

function put(url: string, token: string, key: string): Promise<Response> {
  return fetch(`${url}/v1/collections/things/documents/${key}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ body: { fields: { key } } }),
  });
}

describe('molten serve --dev-mode', () => {
  it('makes secrets once, keeps them private and prints none of them', async () => {
    using directory = createTemporaryDirectory();
    const store = join(directory.path, 'data');
    const args = ['--dev-mode', '--db-path', store, '--port', '0', '--log-level', 'debug'];
    const secrets = join(store, 'development-secrets');
    const passwordFile = join(secrets, 'root-password');
    {
      await using server = await startServe({ args });
      const token = await login(server.url, readFileSync(passwordFile, 'utf8').trim());
      expect((await put(server.url, token, 'a')).status).toBe(200);
      expect(await server.stop('SIGTERM')).toBe(0);
      const printed = server.stdout() + server.stderr();
      for (const name of readdirSync(secrets)) {
        const file = join(secrets, name);
        expect(statSync(file).mode & 0o777).toBe(0o600);
        expect(printed).not.toContain(readFileSync(file, 'utf8').trim());
      }
      expect(printed).not.toContain(token);
      // This, and more, is looked at after each file of these tests.
      expect(overheard().secrets).toBeGreaterThan(readdirSync(secrets).length);
      expect(overheard().logged).toBeGreaterThan(1000);
    }
    await using server = await startServe({ args });
    const token = await login(server.url, readFileSync(passwordFile, 'utf8').trim());
    const read = await fetch(`${server.url}/v1/collections/things/documents/a`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(read.status).toBe(200);
    expect(await server.stop('SIGINT')).toBe(0);
  });

  it('loses nothing it acknowledged when it is killed under load', async () => {
    using directory = createTemporaryDirectory();
    const args = [
      '--dev-mode',
      '--db-path',
      directory.path,
      '--port',
      '0',
      '--log-level',
      'silent',
    ];
    const password = (): string =>
      readFileSync(join(directory.path, 'development-secrets', 'root-password'), 'utf8').trim();
    const acknowledged: string[] = [];
    {
      await using server = await startServe({ args });
      const token = await login(server.url, password());
      const clients = Array.from({ length: 16 }, async (_, client) => {
        for (let at = 0; ; at++) {
          const key = `k${String(client)}-${String(at)}`;
          const { status } = await put(server.url, token, key);
          if (status === 200) acknowledged.push(key);
          if (acknowledged.length === 500) server.child.kill('SIGKILL');
        }
      });
      await Promise.allSettled(clients);
    }
    await using server = await startServe({ args });
    const token = await login(server.url, password());
    for (let at = 0; at < acknowledged.length; at += 500) {
      const keys = acknowledged.slice(at, at + 500);
      const response = await fetch(`${server.url}/v1/collections/things/documents:batchGet`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ keys }),
      });
      expect(await response.json()).toMatchObject({ missingKeys: [] });
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(500);
  });
});

describe('development mode', () => {
  const told = /development.*never use it where others can reach it/;

  async function printedBy(args: readonly string[], variables = {}): Promise<readonly string[]> {
    using directory = createTemporaryDirectory();
    const where = ['--db-path', directory.path, '--port', '0'];
    await using server = await startServe({ args: [...where, ...args], variables });
    const warned = (server.stderr().match(/^\{.*"level":"warn".*$/gm) ?? []).join('\n');
    return [server.stdout(), warned];
  }

  it('is told by the greeting and by the log, and by neither without it', async () => {
    for (const text of await printedBy(['--dev-mode'])) expect(text).toMatch(told);
    const secrets = { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_ROOT_PASSWORD: PASSWORD };
    for (const text of await printedBy([], secrets)) expect(text).not.toMatch(/development/);
  });
});

describe('molten serve', () => {
  const base = { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_ROOT_PASSWORD: PASSWORD };

  it('tells all faults at once, with the nearest name', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'molten.toml');
    writeFileSync(file, 'prot = 1\nhots = "x"\n');
    const variables = { ...base, MOLTENDB_PROT: '1' };
    const args = ['--config', file, '--port', '99999', '--hots', 'x', '--write-mode=wrong'];
    const { code, stderr } = await refusedStart({ args, variables });
    expect(code).toBe(2);
    const text = stderr.replaceAll(/\s*›\s*|\s+/g, ' ');
    expect(text).toContain('--hots is unknown; did you mean --host?');
    expect(text).toContain("--write-mode is 'wrong'; wants one of sync, async");
    expect(text).not.toContain('USAGE');
    expect(text).toContain('did you mean port?');
    expect(text).toContain('did you mean host?');
    expect(text).toContain('did you mean MOLTENDB_PORT?');
    expect(text).toContain("--port is '99999'; wants a whole number, 0 to 65535");
  });

  it('refuses a store that is open, and one whose key is another', async () => {
    using directory = createTemporaryDirectory();
    const variables = { ...base, MOLTENDB_ENCRYPTION_KEY: 'one' };
    const args = ['--db-path', directory.path, '--port', '0'];
    {
      await using first = await startServe({ args, variables });
      expect(await refusedStart({ args, variables })).toMatchObject({ code: 1 });
      expect(await first.stop('SIGTERM')).toBe(0);
    }
    const wrong = { ...base, MOLTENDB_ENCRYPTION_KEY: 'two' };
    const { message } = await refusedStart({ args, variables: wrong });
    expect(message).toMatch(/encryption key/);
  });

  it('prints commands that log in and read, as they stand', async () => {
    using directory = createTemporaryDirectory();
    const args = ['--dev-mode', '--port', '0', '--db-path', join(directory.path, 'a store')];
    await using server = await startServe({ args });
    const [, lines = ''] = /^ {2}try {7}([\s\S]*)/m.exec(server.stdout()) ?? [];
    const curls = lines.split('\n').filter((line) => line.includes('curl'));
    expect(curls).toHaveLength(2);
    const printed = execFileSync('bash', ['-euc', curls.join('\n')], { encoding: 'utf8' });
    expect(JSON.parse(printed)).toMatchObject({ state: 'SERVING_STATE_READY' });
  });

  it('speaks TLS with both versions of HTTP, and gRPC', async () => {
    using directory = createTemporaryDirectory();
    const cert = join(directory.path, 'cert.pem');
    const key = join(directory.path, 'key.pem');
    writeFileSync(cert, certificate);
    writeFileSync(key, privateKey, { mode: 0o600 });
    const args = [
      '--db-path',
      join(directory.path, 'store'),
      '--port',
      '0',
      '--cert',
      cert,
      '--key',
      key,
    ];
    await using server = await startServe({ args, variables: base });
    const status = await new Promise((resolve, reject) => {
      httpsRequest(
        `${server.url}/v1/health`,
        { ca: certificate, servername: 'localhost' },
        (response) => {
          resolve([response.statusCode, response.headers['strict-transport-security']]);
          response.resume();
        },
      )
        .on('error', reject)
        .end();
    });
    expect(status).toEqual([200, expect.stringContaining('max-age')]);
    const nodeOptions = { ca: certificate, servername: 'localhost' };
    for (const transport of [
      createConnectTransport({ baseUrl: server.url, httpVersion: '2', nodeOptions }),
      createGrpcTransport({ baseUrl: server.url, nodeOptions }),
    ]) {
      const { state } = await createClient(SystemService, transport).getHealth({});
      expect(state).toBe(ServingState.READY);
    }
    expect(await server.stop('SIGTERM')).toBe(0);
  });
});
