/**
 * Histories of concurrent clients that read, write and compare-and-set single documents, checked for
 * linearizability. The seed is printed; MOLTEN_SEED replays the same operations.
 */

import { describe, expect, it } from 'vitest';

import { DocumentEncoding } from '../../gen/molten/v1/documents_pb.ts';
import {
  createMoltenClient,
  MoltenError,
  toBody,
  type MoltenClient,
} from '../../src/client/index.ts';
import { bodyOf } from '../../src/client/documents.ts';
import {
  isLinearizable,
  type DocumentState,
  type ObservedOperation,
} from '../support/linearizability.ts';
import { createRandom, printedSeed, type Random } from '../support/random.ts';
import { startTestServer } from '../support/server.ts';

const CLIENTS = 6;
const KEYS = 3;
const OPERATIONS = 60;

async function read({ documents }: MoltenClient, key: string): Promise<DocumentState> {
  try {
    const { document } = await documents.getDocument({
      ...{ collection: 'c', key, encoding: DocumentEncoding.JSON },
    });
    if (document === undefined) throw new Error('a document is missing in its answer');
    return { version: document.version, value: Number(bodyOf(document)['n']) };
  } catch (error) {
    if (error instanceof MoltenError && error.reason === 'DOCUMENT_NOT_FOUND') {
      return { version: 0n, value: undefined };
    }
    throw error;
  }
}

/** Undefined when the version was another one. */
async function write(
  { documents }: MoltenClient,
  key: string,
  { value, expected }: { readonly value: number; readonly expected?: bigint },
): Promise<DocumentState | undefined> {
  try {
    const { result } = await documents.setDocument({
      ...{ collection: 'c', key, body: toBody({ n: value }) },
      ...(expected === undefined ? {} : { precondition: conditionOf(expected) }),
    });
    return { version: result?.version ?? 0n, value };
  } catch (error) {
    const isRefusal =
      error instanceof MoltenError &&
      ['VERSION_MISMATCH', 'DOCUMENT_EXISTS'].includes(error.reason);
    if (isRefusal) return undefined;
    throw error;
  }
}

function conditionOf(version: bigint): {
  condition: { case: 'exists'; value: boolean } | { case: 'version'; value: bigint };
} {
  return version === 0n
    ? { condition: { case: 'exists', value: false } }
    : { condition: { case: 'version', value: version } };
}

async function runClient(
  client: MoltenClient,
  random: Random,
  histories: readonly ObservedOperation[][],
): Promise<void> {
  let known: DocumentState = { version: 0n, value: undefined };
  for (let at = 0; at < OPERATIONS; at++) {
    const number = random.below(KEYS);
    const key = `k${String(number)}`;
    const callMs = performance.now();
    const note = (operation: Omit<ObservedOperation, 'callMs' | 'answerMs'>): void => {
      histories[number]?.push({ ...operation, callMs, answerMs: performance.now() });
    };
    const value = random.below(1_000_000);
    const choice = random.below(3);
    if (choice === 0) {
      known = await read(client, key);
      note({ kind: 'read', result: known });
    } else if (choice === 1) {
      note({ kind: 'write', value, result: await write(client, key, { value }) });
    } else {
      const expected = known.version;
      note({
        kind: 'swap',
        expected,
        value,
        result: await write(client, key, { value, expected }),
      });
    }
  }
}

describe('single documents', () => {
  it('are linearizable under concurrent reads, writes and compare-and-set', async () => {
    const seed = printedSeed();
    await using server = await startTestServer({ writeMode: 'sync' });
    const token = await server.rootToken();
    const histories: ObservedOperation[][] = Array.from({ length: KEYS }, () => []);
    await Promise.all(
      Array.from({ length: CLIENTS }, (_, at) => {
        const protocol = at % 2 === 0 ? 'connect' : 'grpc';
        const client = createMoltenClient({ url: server.url, token: () => token, protocol });
        return runClient(client, createRandom(seed + at), histories);
      }),
    );
    for (const history of histories) {
      expect(history.length).toBeGreaterThan(50);
      expect(isLinearizable(history)).toBe(true);
    }
  }, 60_000);

  it('would be found out if a read were stale, or an update lost', () => {
    const write = (callMs: number, value: number, version: bigint): ObservedOperation => ({
      ...{ callMs, answerMs: callMs + 1, kind: 'write', value, result: { version, value } },
    });
    const reading = (callMs: number, value: number, version: bigint): ObservedOperation => ({
      ...{ callMs, answerMs: callMs + 1, kind: 'read', result: { version, value } },
    });
    const swap = (callMs: number, value: number, version: bigint): ObservedOperation => ({
      ...{ callMs, answerMs: callMs + 5, kind: 'swap', expected: 1n, value },
      result: { version, value },
    });
    expect(isLinearizable([write(0, 1, 1n), write(10, 2, 2n), reading(20, 2, 2n)])).toBe(true);
    expect(isLinearizable([write(0, 1, 1n), write(10, 2, 2n), reading(20, 1, 1n)])).toBe(false);
    expect(isLinearizable([write(0, 1, 1n), swap(10, 5, 2n), swap(11, 6, 2n)])).toBe(false);
  });
});
