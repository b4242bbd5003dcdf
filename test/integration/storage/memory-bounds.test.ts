/**
 * `--cache-size` and `--hot-threshold` as bounds of memory: data of ten times as much and more is
 * answered right, whatever is asked for in whatever order, and what the server says that it keeps stays
 * below what it says that it may.
 */
import { describe, expect, it } from 'vitest';

import type { StoredDocument } from '../../../src/storage/types.ts';
import { createDocumentCache } from '../../../src/storage/embedded/document-cache.ts';
import { createRandom } from '../../support/random.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

const DOCUMENTS = 400;
const READS = 800;
const BOUND_BYTES = 64 * 1024;
const HOT = 20;
const DOCUMENT_BYTES = 512;

interface Memory {
  readonly documents: number;
  readonly bytes: number;
  readonly bytesMax: number;
  readonly hits: number;
}

async function memoryOf(server: TestServer): Promise<Memory> {
  const { body } = await server.asRoot('GET', '/v1/admin/stats');
  const { cachedDocumentCount, cachedBytes, cachedBytesMax, cacheHitCount } = body.store;
  return {
    ...{ documents: Number(cachedDocumentCount), bytes: Number(cachedBytes) },
    ...{ bytesMax: Number(cachedBytesMax), hits: Number(cacheHitCount) },
  };
}

const keyOf = (n: number): string => `k${String(n)}`;
const textOf = (n: number, write: number): string => `${String(n)}.${String(write)}.`.repeat(200);

/** Writes documents of more than ten times the bound; returns their texts. */
async function fill(server: TestServer): Promise<string[]> {
  const texts = Array.from({ length: DOCUMENTS }, (_, n) => textOf(n, 0));
  const writes = texts.map((text, n) => ({ key: keyOf(n), body: { fields: { text } } }));
  const path = '/v1/collections/things/documents:batchSet';
  const answer = await server.asRoot('POST', path, { writes });
  expect(answer.status).toBe(200);
  const bytes = texts.reduce((sum, text) => sum + 2 * text.length, 0);
  expect(bytes).toBeGreaterThan(10 * BOUND_BYTES);
  return texts;
}

/** Reads and now and then writes at random, most of it among a few documents. */
async function use(server: TestServer, texts: string[]): Promise<readonly Memory[]> {
  const random = createRandom(7);
  const seen: Memory[] = [];
  for (let at = 0; at < READS; at++) {
    const n = random.below(random.below(2) === 0 ? HOT : DOCUMENTS);
    const path = `/v1/collections/things/documents/${keyOf(n)}`;
    if (random.below(10) === 0) {
      texts[n] = textOf(n, at);
      await server.asRoot('PUT', path, { body: { fields: { text: texts[n] } } });
    }
    const { body } = await server.asRoot('GET', path);
    expect([n, body.document.fields.text]).toEqual([n, texts[n]]);
    if (at % 20 === 0) seen.push(await memoryOf(server));
  }
  return seen;
}

describe('memory for documents read by key', () => {
  it('stays within --cache-size in the mode standard, and is used', async () => {
    await using server = await startTestServer({ cacheBytes: BOUND_BYTES });
    const seen = await use(server, await fill(server));
    for (const { bytes, bytesMax } of seen) {
      expect(bytesMax).toBe(BOUND_BYTES);
      expect(bytes).toBeLessThanOrEqual(BOUND_BYTES);
    }
    const last = seen.at(-1);
    expect(last?.bytes).toBeGreaterThan(BOUND_BYTES / 2);
    expect(last?.hits).toBeGreaterThan(READS / 8);
  }, 60_000);

  it('stays within --hot-threshold in the mode tiered too', async () => {
    const bounds = { cacheBytes: 10 * BOUND_BYTES, cacheDocuments: HOT };
    await using server = await startTestServer(bounds);
    const seen = await use(server, await fill(server));
    for (const { documents, bytes, bytesMax } of seen) {
      expect(documents).toBeLessThanOrEqual(HOT);
      expect(bytes).toBeLessThanOrEqual(bytesMax);
    }
    expect(seen.at(-1)?.documents).toBe(HOT);
  }, 60_000);

  it('is none with 0 of either, and answers all the same', async () => {
    for (const bounds of [{ cacheBytes: 0 }, { cacheDocuments: 0 }]) {
      await using server = await startTestServer(bounds);
      const texts = await fill(server);
      for (const n of [0, 0, DOCUMENTS - 1]) {
        const { body } = await server.asRoot('GET', `/v1/collections/things/documents/${keyOf(n)}`);
        expect(body.document.fields.text).toBe(texts[n]);
      }
      expect(await memoryOf(server)).toEqual({ documents: 0, bytes: 0, bytesMax: 0, hits: 0 });
    }
  });

  it('is not reserved for documents that would never fit', () => {
    const bounds = { bytesMax: 100 * DOCUMENT_BYTES, documentsMax: Number.MAX_SAFE_INTEGER };
    const cache = createDocumentCache(bounds);
    for (let n = 0; n < 1000; n++) cache.set(documentOf(n));
    expect(cache.bytes).toBeLessThanOrEqual(bounds.bytesMax);
    expect(cache.documents).toBeGreaterThan(50);
    expect(cache.get('things', keyOf(999))).toBeDefined();
  });
});

function documentOf(n: number): StoredDocument {
  const [collection, key, body] = ['things', keyOf(n), '{}'];
  return { collection, key, body } as unknown as StoredDocument;
}
