/**
 * Histories of concurrent clients that read, write and compare-and-set single documents, at one server and at
 * several on one database, checked for linearizability. The seed is printed; MOLTEN_SEED replays the same operations.
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
import { startCommitRelay } from '../support/commit-relay.ts';
import {
  isLinearizable,
  type DocumentState,
  type ObservedOperation,
} from '../support/linearizability.ts';
import { startPostgres } from '../support/postgres.ts';
import { createRandom, printedSeed, type Random } from '../support/random.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const NODES = 4;
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

/** Each operation by any of some clients, one after the other. */
async function runClient(
  clients: readonly MoltenClient[],
  random: Random,
  histories: readonly ObservedOperation[][],
): Promise<void> {
  let known: DocumentState = { version: 0n, value: undefined };
  for (let at = 0; at < OPERATIONS; at++) {
    const client = clients[random.below(clients.length)];
    if (client === undefined) throw new Error('there is nobody to ask');
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

/** What clients of some servers saw of each document; each goes to any of the servers with each operation. */
async function historiesOf(
  servers: readonly TestServer[],
): Promise<readonly (readonly ObservedOperation[])[]> {
  const seed = printedSeed();
  const token = await servers[0]?.rootToken();
  const histories: ObservedOperation[][] = Array.from({ length: KEYS }, () => []);
  await Promise.all(
    Array.from({ length: CLIENTS }, (_, at) => {
      const protocol = at % 2 === 0 ? 'connect' : 'grpc';
      const clients = servers.map(({ url }) =>
        createMoltenClient({ url, token: () => token, protocol }),
      );
      return runClient(clients, createRandom(seed + at), histories);
    }),
  );
  return histories;
}

describe('single documents', () => {
  it('are linearizable under concurrent reads, writes and compare-and-set', async () => {
    await using server = await startTestServer({ writeMode: 'sync' });
    for (const history of await historiesOf([server])) {
      expect(history.length).toBeGreaterThan(50);
      expect(isLinearizable(history)).toBe(true);
    }
  }, 60_000);

  it('are linearizable over several nodes on one PostgreSQL, whichever is asked next', async () => {
    await using database = await startPostgres();
    await using relay = await startCommitRelay(database.port);
    // A node knows of commits of the others when it looks by itself, four times a second.
    relay.isQuiet = true;
    const { password } = database;
    const storage = { url: database.url('molten', relay.port), password, connections: 4 };
    await using opened = new AsyncDisposableStack();
    const servers = await Promise.all(
      Array.from({ length: NODES }, () => startTestServer({ storage, writeMode: 'sync' })),
    );
    for (const server of servers) opened.use(server);
    for (const history of await historiesOf(servers)) {
      expect(history.length).toBeGreaterThan(50);
      expect(isLinearizable(history)).toBe(true);
    }
  }, 120_000);

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
