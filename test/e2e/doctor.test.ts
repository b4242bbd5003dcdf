import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { REFUSALS } from '../../src/config/refusals.ts';
import { certificate, privateKey } from '../support/certificate.ts';
import { createMolten } from '../support/molten.ts';
import { runStorage } from '../support/run-storage.ts';
import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRETS = {
  MOLTENDB_JWT_SECRET: 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more',
  MOLTENDB_ROOT_PASSWORD: 'a password long enough for tests',
  MOLTENDB_ENCRYPTION_KEY: 'a key of the store, long enough',
};

interface Report {
  readonly ok: boolean;
  readonly findings: readonly { area: string; name: string; verdict: string; detail: string }[];
}

function verdicts({ findings }: Report, verdict: string): readonly string[] {
  return findings.filter((one) => one.verdict === verdict).map(({ name }) => name);
}

describe('molten doctor', () => {
  it('judges a configuration by the whole table, and advises', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, SECRETS);
    const store = join(directory.path, 'store');
    const report = await molten.json<Report>('doctor', '--db-path', store);
    expect(report.ok).toBe(true);
    expect(verdicts(report, 'ok')).toEqual([
      ...REFUSALS.map(({ name }) => name),
      ...['tokens short-lived', 'metrics inside', 'origins of others'],
    ]);
    expect(verdicts(report, 'warn')).toEqual(
      expect.arrayContaining(['snapshot-schedule', 'alerts told']),
    );
  });

  it('advises against what is allowed and is no good practice in public', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, SECRETS);
    const report = await molten.json<Report>(
      ...['doctor', '--db-path', join(directory.path, 'store'), '--access-token-ttl', '3601'],
      ...['--metrics-port', '9464', '--metrics-host', '0.0.0.0'],
      ...['--cors-origin', 'https://app.example.org,http://localhost:5173'],
    );
    const practice = ['tokens short-lived', 'metrics inside', 'origins of others'];
    expect(verdicts(report, 'warn')).toEqual(expect.arrayContaining(practice));
    expect(verdicts(report, 'ok')).toContain('alerts told');
  });

  it('ends with 1 and names the fix of everything that would keep a server from starting', async () => {
    using directory = createTemporaryDirectory();
    const variables = { ...SECRETS, MOLTENDB_JWT_SECRET: 'short', MOLTENDB_PROT: '1' };
    const molten = createMolten(directory.path, variables);
    const { code, stdout } = await molten('doctor', '--host', '0.0.0.0');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAIL {2}configuration: form: MOLTENDB_PROT is unknown; did you/m);
    expect(stdout).toMatch(
      /^FAIL {2}configuration: signing secret strong: .*; make a random one$/m,
    );
    expect(stdout).toMatch(/^FAIL {2}configuration: TLS beyond this machine: .*; give --cert/m);
    expect(stdout).toMatch(/^ok {4}configuration: schedule well-formed$/m);
    expect(stdout).not.toContain(SECRETS.MOLTENDB_ENCRYPTION_KEY);
  });

  it('finds a server in production sound, from the outside and with a token', async () => {
    using directory = createTemporaryDirectory();
    const cert = join(directory.path, 'cert.pem');
    const key = join(directory.path, 'key.pem');
    writeFileSync(cert, certificate);
    writeFileSync(key, privateKey, { mode: 0o600 });
    const store = join(directory.path, 'store');
    const args = ['--db-path', store, '--port', '0', '--cert', cert, '--key', key];
    await using server = await startServe({ args, variables: SECRETS });
    const molten = createMolten(directory.path, {
      NODE_EXTRA_CA_CERTS: cert,
      MOLTEN_PASSWORD: SECRETS.MOLTENDB_ROOT_PASSWORD,
    });
    const outside = await molten.json<Report>('doctor', '--url', server.url);
    expect(verdicts(outside, 'FAIL')).toEqual([]);
    expect(verdicts(outside, 'ok')).toEqual([
      ...['reachable', 'TLS', 'certificate', 'security headers', 'CORS closed'],
      ...['WebSocket closed', 'metrics inside', 'health'],
      ...['set-up closed', 'calls without a credential refused', 'forged credentials refused'],
    ]);
    expect(outside.findings.find(({ name }) => name === 'TLS')?.detail).toBe('TLSv1.3');

    await molten('login', server.url, '--username', 'root');
    const early = await molten('doctor', '--url', server.url);
    expect(early.stdout).toMatch(/^FAIL {2}server: snapshots recent: there is none; take one/m);
    expect(early.code).toBe(1);
    await molten('snapshots', 'create', '--url', server.url);
    const inside = await molten.json<Report>('doctor', '--url', server.url);
    expect(verdicts(inside, 'ok')).toEqual(
      expect.arrayContaining(['snapshots recent', 'database']),
    );
    // Whether the disks of a database are encrypted is not for the server to know.
    const unknown = runStorage(store) === undefined ? [] : ['encryption at rest'];
    expect(verdicts(inside, 'warn')).toEqual([...unknown, 'administrator', 'named users']);
    expect(verdicts(inside, 'FAIL')).toEqual([]);
  });

  it('finds what is wrong with a server that lets everybody in', async () => {
    using directory = createTemporaryDirectory();
    const open = createServer((request, response) => {
      response.setHeader('access-control-allow-origin', request.headers.origin ?? '');
      response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('content-type', 'application/json');
      response.end('{"state": "SERVING_STATE_READ_ONLY", "open": true}');
    }).listen(0, '127.0.0.1');
    open.on('upgrade', (_, socket) => {
      socket.end(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      );
    });
    await once(open, 'listening');
    const { port } = open.address() as { readonly port: number };
    const molten = createMolten(directory.path);
    const { code, stdout } = await molten('doctor', '--url', `http://127.0.0.1:${String(port)}`);
    open.close();
    expect(code).toBe(1);
    const failed = [...stdout.matchAll(/^FAIL {2}server: ([^:]+):/gm)].map(([, name]) => name);
    expect(failed).toEqual([
      ...['security headers', 'CORS closed', 'WebSocket closed', 'metrics inside', 'health'],
      'set-up closed',
      ...['calls without a credential refused', 'forged credentials refused'],
    ]);
    expect(stdout).toMatch(/^warn {2}server: TLS: /m);
  });

  it('says when there is no server', async () => {
    using directory = createTemporaryDirectory();
    const { code, stdout } = await createMolten(directory.path)(
      ...['doctor', '--url', 'http://127.0.0.1:1'],
    );
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^FAIL {2}server: reachable: /)]);
  });
});
