/**
 * A disk that takes no more, under a running server: nothing is acknowledged any more, everything can still
 * be read, and whoever asks is told. The limit is one on the size of files, which the kernel enforces.
 */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { Health, HealthCheckResponse_ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';
import { toBody } from '../../src/client/documents.ts';
import { createMoltenClient, type MoltenClient } from '../../src/client/index.ts';
import { toMoltenError } from '../../src/client/molten-error.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
  MOLTENDB_ENCRYPTION_KEY: 'an encryption key for tests',
};
const FILE_KIBIBYTES_MAX = 4096;
const TEXT = 'molten'.repeat(3000);

function serve(directory: string, fileKibibytesMax?: number): Promise<ServeProcess> {
  const args = ['--db-path', `${directory}/data`, '--port', '0', '--log-level', 'silent'];
  const limit = fileKibibytesMax === undefined ? {} : { fileKibibytesMax };
  return startServe({ args, variables: SECRETS, ...limit });
}

async function tokenOf({ url }: ServeProcess): Promise<string> {
  const login = { username: 'root', password: PASSWORD };
  return (await createMoltenClient({ url }).auth.login(login)).token;
}

function clientOf({ url }: ServeProcess, token: string): MoltenClient {
  return createMoltenClient({ url, token: () => token });
}

/** What a load balancer is told. */
async function readinessOf({ url }: ServeProcess): Promise<readonly [number, unknown]> {
  const answer = await fetch(`${url}/readyz`);
  return [answer.status, await answer.json()];
}

/** Writes one document; the reason when it is refused. */
async function write(client: MoltenClient, key: string): Promise<string> {
  const request = { collection: 'things', key, body: toBody({ text: TEXT }) };
  const refusal = await client.documents.setDocument(request).catch(toMoltenError);
  return refusal instanceof Error ? refusal.reason : 'written';
}

describe('a server whose disk takes no more', () => {
  it('refuses every write, reads on, says so, and has lost nothing after a restart', async () => {
    using directory = createTemporaryDirectory();
    const acknowledged: string[] = [];
    {
      await using server = await serve(directory.path, FILE_KIBIBYTES_MAX);
      const token = await tokenOf(server);
      const client = clientOf(server, token);
      expect(await readinessOf(server)).toEqual([200, { status: 'ready' }]);
      let answer = await write(client, 'k0');
      for (let n = 1; answer === 'written'; n++) {
        acknowledged.push(`k${String(n - 1)}`);
        answer = await write(client, `k${String(n)}`);
      }
      expect(answer).toMatch(/^(ENGINE_UNAVAILABLE|STORAGE_FULL|READ_ONLY)$/);
      expect(acknowledged.length).toBeGreaterThan(20);
      for (let n = 0; n < 5; n++) expect(await write(client, 'later')).toBe('READ_ONLY');
      const told = await fetch(`${server.url}/set`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify({ collection: 'things', data: { k: {} } }),
      });
      expect([told.status, await told.json()]).toEqual([
        503,
        {
          error: expect.stringMatching(/^Service unavailable -- storage fault: ./),
          statusCode: 503,
        },
      ]);
      expect(await readinessOf(server)).toEqual([503, { status: 'readOnly' }]);
      const probe = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
      expect(await probe.check({})).toMatchObject({
        status: HealthCheckResponse_ServingStatus.NOT_SERVING,
      });
      const health = await fetch(`${server.url}/v1/health`);
      expect(await health.json()).toMatchObject({ state: 'SERVING_STATE_READ_ONLY' });
      for (const key of [acknowledged[0] ?? '', acknowledged.at(-1) ?? '']) {
        const { document } = await client.documents.getDocument({ collection: 'things', key });
        expect(document?.key).toBe(key);
      }
    }
    await using again = await serve(directory.path);
    const client = clientOf(again, await tokenOf(again));
    for (const key of acknowledged) {
      const { document } = await client.documents.getDocument({ collection: 'things', key });
      expect(document?.key).toBe(key);
    }
    expect(await write(client, 'later')).toBe('written');
  });
});
