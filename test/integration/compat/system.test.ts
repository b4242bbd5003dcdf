import { statfsSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe('GET /system/metrics', () => {
  it('tells of the disk that the store fills', async () => {
    const { bsize, blocks } = statfsSync(server.dbPath);
    const { body } = await server.asRoot('GET', '/system/metrics');
    const [disk, ...others] = body.host.disks;
    expect(others).toEqual([]);
    expect(disk.total_bytes).toBe(bsize * blocks);
    expect(server.dbPath.startsWith(disk.mount)).toBe(true);
    expect(statfsSync(disk.mount).blocks).toBe(blocks);
    for (const figure of [disk.used_bytes, disk.available_bytes]) {
      expect(figure).toBeGreaterThan(0);
      expect(figure).toBeLessThan(disk.total_bytes);
    }
  });

  it('counts the documents in memory, and not those on disk', async () => {
    const hot = async (): Promise<number> =>
      Number((await server.asRoot('GET', '/system/metrics')).body.database.hot_keys_count);
    const data = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`k${String(at)}`, {}]));
    await server.asRoot('POST', '/set', { collection: 'hot', data });
    // What the server itself reads by key counts too: who calls, and by which session.
    expect(await hot()).toBeLessThan(5);
    // What is read while a commit is under way is not kept, so that it may take another time.
    const readSome = async (): Promise<number> => {
      for (const key of Object.keys(data).slice(5)) {
        await server.asRoot('GET', `/v1/collections/hot/documents/${key}`);
      }
      return await hot();
    };
    await expect.poll(readSome, { timeout: 20_000 }).toBeGreaterThanOrEqual(15);
    expect(await hot()).toBeLessThan(20);
  });
});

const ROUTES: readonly (readonly [string, string])[] = [
  ['/login', 'POST'],
  ['/auth/delegate', 'POST'],
  ['/auth/refresh', 'POST'],
  ['/auth/tokens/some-jti', 'DELETE'],
  ['/set', 'POST'],
  ['/update', 'POST'],
  ['/get', 'POST'],
  ['/delete', 'POST'],
  ['/schema', 'POST'],
  ['/stats', 'GET, HEAD, POST'],
  ['/snapshot', 'POST'],
  ['/analytics', 'POST'],
  ['/collections/laptops', 'GET, HEAD'],
  ['/collections/laptops/docs/lp1', 'GET, HEAD'],
  ['/system/health', 'GET, HEAD'],
  ['/system/metrics', 'GET, HEAD'],
];

describe('a method that a route does not take', () => {
  it.each(ROUTES)('on %s is answered with those it takes', async (path, allow) => {
    const token = await server.rootToken();
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      if (allow.split(', ').includes(method)) continue;
      const answer = await server.request(method, path, { token });
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toBe(allow);
      expect(answer.body).toEqual({ error: expect.stringContaining(method), statusCode: 405 });
    }
  });

  it('does not hide that a path is unknown', async () => {
    expect((await server.asRoot('PUT', '/sets')).status).toBe(404);
  });
});
