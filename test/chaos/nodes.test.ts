/**
 * Several servers on one PostgreSQL, of which one after the other is killed (SIGKILL) while all of them
 * write. Whatever was acknowledged is there, once, and the log has no gap. And what watchers on each of them
 * are told while servers are killed, paused and cut off, and the database is killed.
 */
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { createMoltenClient, toBody, type MoltenClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { delay } from '../../src/platform/timers.ts';
import { toSequence, type LogEntry } from '../../src/storage/types.ts';
import { FailingServer, FAULTS } from '../support/failing-server.ts';
import { startPostgres } from '../support/postgres.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createRandom, printedSeed } from '../support/random.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { filterViolations, violationsOf } from '../support/watch-properties.ts';

const NODES = 3;
/** More in a long run: MOLTEN_KILLS=500. */
const KILLS = Number(process.env['MOLTEN_KILLS'] ?? 3);
/** A safety net, never a measurement. */
const KILLS_MS = 150_000 + KILLS * 10_000;
/** Of each node. */
const ROUNDS = Math.max(FAULTS.length, Number(process.env['MOLTEN_FAULTS'] ?? 0));
/** Kills of the database meanwhile: as many as there are faults when a long run asks for them. */
const CRASHES = Number(process.env['MOLTEN_FAULTS'] ?? 1);
/** What is written between two of them, so that there is something to lose. */
const WRITES_BETWEEN = 20;
const PASSWORD = 'a password long enough for tests';

describe('nodes that are killed', () => {
  it(
    'lose nothing that they acknowledged, and hold up nobody',
    async () => {
      using directory = createTemporaryDirectory();
      await using database = await startPostgres();
      const start = (at: number): Promise<ServeProcess> =>
        startServe({
          args: [
            ...['--storage-url', database.url('molten'), '--port', '0', '--log-level', 'silent'],
            ...['--db-path', `${directory.path}/${at.toString()}`],
          ],
          variables: {
            MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
            MOLTENDB_ROOT_PASSWORD: PASSWORD,
            MOLTENDB_STORAGE_PASSWORD: database.password,
          },
        });
      const nodes = await Promise.all(Array.from({ length: NODES }, (_, at) => start(at)));
      const acknowledged: string[] = [];
      let isOver = false;
      const writers = nodes.flatMap((_, at) =>
        [0, 1, 2].map(async (writer) => {
          let client: { readonly of: ServeProcess; readonly is: MoltenClient } | undefined;
          for (let n = 0; !isOver; n++) {
            const key = `${at.toString()}-${writer.toString()}-${n.toString()}`;
            const node = nodes[at];
            if (node === undefined) return;
            try {
              if (client?.of !== node) client = { of: node, is: await signedIn(node.url) };
              await client.is.documents.setDocument({ collection: 'c', key, body: toBody({ n }) });
              acknowledged.push(key);
            } catch {
              // Of what was not acknowledged nothing is known.
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }
        }),
      );
      for (let kill = 0; kill < KILLS; kill++) {
        const before = acknowledged.length;
        const more = (): number => acknowledged.length - before;
        await expect.poll(more, { timeout: 30_000 }).toBeGreaterThan(50);
        const at = kill % NODES;
        await nodes[at]?.stop('SIGKILL');
        // The others go on, whatever it held.
        await expect.poll(more, { timeout: 30_000 }).toBeGreaterThan(100);
        nodes[at] = await start(at);
      }
      isOver = true;
      await Promise.all(writers);
      await Promise.all(nodes.map((node) => node.stop('SIGTERM')));
      const { password } = database;
      const store = await openPostgresStore({
        ...{ url: database.url('molten'), password, clock: systemClock },
      });
      const { epoch, sequence: last } = await store.head();
      const log: LogEntry[] = [];
      for (let sequence = toSequence(0); sequence < last;) {
        log.push(...(await store.readLog({ epoch, sequence }, { limit: 1000 })));
        sequence = log.at(-1)?.sequence ?? last;
      }
      expect(log.map(({ sequence }) => sequence)).toEqual(log.map((_, at) => BigInt(at + 1)));
      const puts = log.filter(({ collection }) => collection === 'c').map(({ key }) => key);
      const stored = new Set(puts);
      expect(acknowledged.filter((key) => !stored.has(key))).toEqual([]);
      // Each key is written once, and whoever got no answer does not ask again.
      expect(puts).toHaveLength(stored.size);
      await store.close();
    },
    KILLS_MS,
  );
});

/** Fewer than would prove anything, otherwise. */
const WRITES_MIN = 200;

describe('watching nodes that fail, over a database that fails', () => {
  it(
    'keeps the nine properties on every node',
    async () => {
      using directory = createTemporaryDirectory();
      await using database = await startPostgres();
      const random = createRandom(printedSeed());
      const of = { url: database.url('molten'), password: database.password };
      await using disposer = new AsyncDisposableStack();
      const nodes = await Promise.all(
        Array.from({ length: 4 }, (_, at) =>
          FailingServer.start({
            directory: join(directory.path, String(at)),
            random,
            database: of,
          }),
        ),
      );
      for (const node of nodes) disposer.use(node);
      const watchers = nodes.flatMap((node) => [node.follow(), node.follow({ isRaw: true })]);
      const filtered = nodes.map((node) => node.follow({ where: { n: { $gte: 500 } } }));
      const writers = nodes.map((node) => [node.write(), node.write(), node.write()]);
      const faults = nodes.map(async (node) => {
        for (let round = 0; round < ROUNDS; round++) await node.fault();
      });
      const count = (): number => nodes.reduce((sum, node) => sum + node.acknowledged.length, 0);
      const crash = async (): Promise<void> => {
        for (let kill = 0; kill < CRASHES; kill++) {
          const before = count();
          await delay(500);
          while (kill > 0 && count() < before + WRITES_BETWEEN) await delay(20);
          await database.kill();
          await database.start();
        }
      };
      await Promise.all([crash(), ...faults]);
      while (count() < WRITES_MIN) await delay(20);
      await Promise.all(nodes.map((node, at) => node.quiet(writers[at] ?? [])));
      await nodes[0]?.end();
      const written = nodes.flatMap(({ acknowledged }) => acknowledged);
      const histories = await Promise.all(watchers.map((watcher) => watcher.told()));
      for (const history of histories) expect(violationsOf(history, written)).toEqual([]);
      for (const watcher of filtered) {
        const part = await watcher.told();
        expect(filterViolations(histories[0] ?? [], part, (n) => n >= 500)).toEqual([]);
      }
    },
    210_000 + ROUNDS * 10_000,
  );
});

async function signedIn(url: string): Promise<MoltenClient> {
  const login = { username: 'root', password: PASSWORD };
  const { token } = await createMoltenClient({ url }).auth.login(login);
  return createMoltenClient({ url, token: () => token, timeoutMs: 5000 });
}
