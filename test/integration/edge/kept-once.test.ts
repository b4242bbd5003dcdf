/** What nobody takes is kept once: no copies of an answer, and one event for all who are told it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { describe, expect, it } from 'vitest';

import { createMoltenClient, toBody } from '../../../src/client/index.ts';
import { parseMetrics, valueOf } from '../../support/prometheus.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openRaw, type RawConnection } from './attacker.ts';

const READERS = 8;
const DOCUMENTS = 9;
const TEXT = 'x'.repeat(900_000);
/** More than the kernel takes of one connection, when there are two of them. */
const ANSWER_BYTES = DOCUMENTS * TEXT.length;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function openServer(): Promise<TestServer> {
  return await startTestServer({ metrics: { host: '127.0.0.1', port: 0 } });
}

async function write(server: TestServer): Promise<void> {
  const token = await server.rootToken();
  const client = createMoltenClient({ url: server.url, token: () => token });
  const writes = Array.from({ length: DOCUMENTS }, (_, n) => ({
    ...{ key: `k${String(n)}`, body: toBody({ text: TEXT }) },
  }));
  await client.documents.batchSetDocuments({ collection: 'large', writes });
}

/** Asks as often for a path, and reads nothing. */
async function openDeaf(server: TestServer, path: string, times = 1): Promise<RawConnection> {
  const token = await server.rootToken();
  const raw = openRaw(server);
  raw.socket.pause();
  const request = `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`;
  raw.socket.write(request.repeat(times));
  return raw;
}

/** Bytes of answers that connections wait to be rid of. */
async function waiting({ metricsUrl = '' }: TestServer): Promise<number> {
  const families = parseMetrics(await (await fetch(metricsUrl)).text());
  return valueOf(families, 'molten_buffered_bytes', { kind: 'answers' });
}

/** How much more there is outside the heap once all of them wait. */
async function grownBy(
  server: TestServer,
  work: () => Promise<readonly RawConnection[]>,
): Promise<number> {
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const readers = await work();
  await expect.poll(() => waiting(server)).toBeGreaterThan((READERS * ANSWER_BYTES) / 2);
  collectGarbage();
  const grown = process.memoryUsage().arrayBuffers - before;
  for (const { socket } of readers) socket.destroy();
  return grown;
}

describe('what nobody takes', () => {
  it('of a long answer is kept as long as it is', async () => {
    await using server = await openServer();
    await write(server);
    const path = `/v1/collections/large/documents?pageSize=${String(DOCUMENTS)}`;
    const grown = await grownBy(server, () =>
      Promise.all(Array.from({ length: READERS }, () => openDeaf(server, path, 3))),
    );
    expect(grown).toBeLessThan(1.5 * READERS * ANSWER_BYTES);
  });

  it('of an event of many changes is kept once, however many are told', async () => {
    await using server = await openServer();
    const grown = await grownBy(server, async () => {
      const path = '/v1/watch?collection=large';
      const readers = await Promise.all(
        Array.from({ length: READERS }, () => openDeaf(server, path)),
      );
      for (let n = 0; n < 3; n++) await write(server);
      return readers;
    });
    expect(grown).toBeLessThan(READERS * ANSWER_BYTES);
  });
});
