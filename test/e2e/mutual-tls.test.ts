import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { ServingState } from '../../gen/molten/v1/system_pb.ts';
import { createMoltenClient } from '../../src/client/index.ts';
import {
  certificate,
  otherCertificate,
  otherPrivateKey,
  privateKey,
} from '../support/certificate.ts';
import { createMolten } from '../support/molten.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const run = promisify(execFile);
const HEALTH_CHECK = join(import.meta.dirname, '../../deploy/healthcheck.mjs');

/** A server that lets nobody connect without a certificate, and the variables for a command to have one. */
async function startStrict(directory: string): Promise<{
  readonly server: ServeProcess;
  readonly trusting: Readonly<Record<string, string>>;
  readonly shown: Readonly<Record<string, string>>;
}> {
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const cert = file('cert.pem', certificate);
  const clientCert = file('client.pem', otherCertificate);
  const server = await startServe({
    args: [
      ...['--db-path', join(directory, 'store'), '--port', '0'],
      ...['--cert', cert, '--key', file('key.pem', privateKey), '--client-ca', clientCert],
    ],
    variables: {
      MOLTENDB_JWT_SECRET: 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more',
      MOLTENDB_ENCRYPTION_KEY: 'a key of the store, long enough',
      MOLTENDB_ROOT_PASSWORD: ROOT.password,
    },
  });
  return {
    server,
    trusting: { NODE_EXTRA_CA_CERTS: cert, MOLTEN_PASSWORD: ROOT.password },
    shown: {
      MOLTEN_CLIENT_CERT: clientCert,
      MOLTEN_CLIENT_KEY: file('client-key.pem', otherPrivateKey),
    },
  };
}

describe('a server that asks for certificates', () => {
  it('is used by commands, examined and checked with one, and says what is missing without', async () => {
    using directory = createTemporaryDirectory();
    const { server, trusting, shown } = await startStrict(directory.path);
    await using _ = server;
    const without = createMolten(directory.path, trusting);
    const refused = await without('login', server.url, '--username', ROOT.username);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr.replaceAll(/\s+/g, ' ')).toContain(
      'or it asks for a certificate, which MOLTEN_CLIENT_CERT and MOLTEN_CLIENT_KEY name',
    );

    const molten = createMolten(directory.path, { ...trusting, ...shown });
    const { code } = await molten('login', server.url, '--username', ROOT.username);
    expect(code).toBe(0);
    await molten('snapshots', 'create');
    const { findings } = await molten.json<{
      readonly findings: readonly { readonly name: string; readonly verdict: string }[];
    }>('doctor', '--url', server.url);
    expect(findings.filter(({ verdict }) => verdict === 'FAIL')).toEqual([]);
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['TLS', 'WebSocket closed', 'snapshots recent']),
    );

    const check = (variables: Readonly<Record<string, string>>): Promise<unknown> =>
      run(process.execPath, [HEALTH_CHECK], { env: { MOLTEN_URL: server.url, ...variables } });
    await expect(check(shown)).resolves.toMatchObject({ stderr: '' });
    await expect(check({})).rejects.toMatchObject({ code: 1 });
  });

  it.each(['connect', 'grpc'] as const)('takes the client in TypeScript: %s', async (protocol) => {
    using directory = createTemporaryDirectory();
    const { server } = await startStrict(directory.path);
    await using _ = server;
    const url = server.url.replace('127.0.0.1', 'localhost');
    // No authority has signed its certificate, and this is about that of the client.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const clientCertificate = { cert: otherCertificate, key: otherPrivateKey };
    const client = createMoltenClient({ url, protocol, clientCertificate });
    await expect(client.system.getHealth({})).resolves.toMatchObject({ state: ServingState.READY });
    const anonymous = createMoltenClient({ url, protocol });
    await expect(anonymous.system.getHealth({})).rejects.toThrow();
  });

  it('is not asked with half of one', async () => {
    using directory = createTemporaryDirectory();
    const cert = join(directory.path, 'no.pem');
    writeFileSync(cert, 'no certificate');
    const half = createMolten(directory.path, { MOLTEN_CLIENT_CERT: cert });
    const { code, stderr } = await half('status');
    expect([code, stderr]).toEqual([2, expect.stringContaining('without MOLTEN_CLIENT_KEY')]);
    const wrong = createMolten(directory.path, {
      ...{ MOLTEN_CLIENT_CERT: cert, MOLTEN_CLIENT_KEY: cert },
    });
    expect((await wrong('status')).stderr).toContain('is not PEM');
    const missing = createMolten(directory.path, {
      ...{ MOLTEN_CLIENT_CERT: `${cert}.gone`, MOLTEN_CLIENT_KEY: cert },
    });
    // Errors are broken into lines, each behind a mark.
    const told = (await missing('status')).stderr.replaceAll(/[\s›]+/g, ' ');
    expect(told).toMatch(/MOLTEN_CLIENT_CERT: '.*' cannot be read: ENOENT/);
  });
});
