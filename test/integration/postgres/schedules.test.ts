/** What servers of one store do by a schedule, and what they tell of it. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { examineInside } from '../../../cli/lib/doctor/inside.ts';
import type { ServerConfig } from '../../../src/config/server-config.ts';
import { createMoltenClient } from '../../../src/client/index.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { parseMetrics, valueOf } from '../../support/prometheus.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { newSchema } from './scene.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const LATELY = { timeout: 30_000 };
/** For tests that wait for a moment, or for several looks. */
const LONG = { timeout: 120_000 };

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

function storageAt(schema: string, port?: number): NonNullable<ServerConfig['storage']> {
  return { url: database.url(schema, port), password: database.password, connections: 4 };
}

/** The schedule of one moment of today. */
function scheduleOf(momentMs: number): string {
  const at = new Date(momentMs);
  return `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
}

async function causesOf(server: TestServer): Promise<readonly string[]> {
  const { body } = await server.asRoot('GET', '/v1/snapshots');
  return ((body.snapshots ?? []) as { cause: string }[]).map(({ cause }) => cause);
}

async function takeSnapshot(server: TestServer): Promise<void> {
  const { status } = await server.asRoot('POST', '/v1/snapshots', { wait: '60s' });
  expect(status).toBe(200);
}

describe('a scheduled snapshot of several servers', () => {
  it('is taken by one of them, though another stands still and comes late', LONG, async () => {
    using directory = createTemporaryDirectory();
    const [script, told] = ['after.sh', 'told'].map((name) => join(directory.path, name));
    writeFileSync(script!, `#!/bin/sh\necho "$1" >> '${told!}'\n`);
    chmodSync(script!, 0o700);
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    const momentMs = systemClock.now() + 10 * SECOND_MS;
    const snapshots = {
      ...{ schedule: scheduleOf(momentMs), keep: 0 },
      hook: { command: script!, timeoutMs: 10_000 },
    };
    await using one = await startTestServer({ storage: storageAt(schema), snapshots });
    await using late = await startTestServer({
      ...{ storage: storageAt(schema, relay.port), snapshots },
    });
    // Whoever asks for the job is counted, whether he gets it or not.
    await database.run(
      schema,
      'CREATE SEQUENCE asked',
      `CREATE FUNCTION count_asked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('${schema}.asked'); RETURN NEW; END $$`,
      `CREATE TRIGGER asked BEFORE INSERT ON lease FOR EACH ROW
        WHEN (NEW.job = 'snapshotSchedule' AND NEW.holder <> '') EXECUTE FUNCTION count_asked()`,
    );
    const asked = async (): Promise<unknown> =>
      (await database.run(schema, 'SELECT last_value, is_called FROM asked'))[0];
    await expect.poll(() => systemClock.now(), LATELY).toBeGreaterThan(momentMs - 2 * SECOND_MS);
    // It has a connection, by which it asks at the moment.
    expect(await causesOf(late)).toEqual([]);
    relay.pause();
    await expect.poll(() => causesOf(one), LATELY).toEqual(['SNAPSHOT_CAUSE_SCHEDULE']);
    await expect.poll(() => existsSync(told!), LATELY).toBe(true);
    // As it is after half a minute.
    await database.run(schema, 'UPDATE lease SET until = 0');
    expect(await asked()).toMatchObject({ last_value: '1', is_called: true });
    relay.resume();
    await expect.poll(asked, LATELY).toMatchObject({ last_value: '2' });
    // One that was begun before would be there before this one.
    const ready = async (): Promise<number> => (await late.request('GET', '/readyz')).status;
    await expect.poll(ready, LATELY).toBe(200);
    await takeSnapshot(late);
    expect(await causesOf(late)).toEqual(['SNAPSHOT_CAUSE_REQUEST']);
    const { body } = await late.asRoot('GET', '/v1/operations');
    expect(body.operations).toHaveLength(1);
    // One for the schedule, one for the request.
    await expect.poll(() => readFileSync(told!, 'utf8').trim().split('\n')).toHaveLength(2);
    expect(await causesOf(one)).toEqual(['SNAPSHOT_CAUSE_SCHEDULE']);
  });

  it(
    'is left out while the database is away, which is told, and taken again afterwards',
    LONG,
    async () => {
      await using own = await startPostgres({ fsync: 'off' });
      const lines: string[] = [];
      const logger = createLogger({
        ...{ level: 'error', destination: { write: (line: string) => lines.push(line) } },
      });
      const storage = { url: own.url(newSchema()), password: own.password, connections: 4 };
      const snapshots = { schedule: '* * * * * *', keep: 1, hook: undefined };
      await using server = await startTestServer({ storage, snapshots }, { logger });
      const newest = async (): Promise<number> => {
        const { body } = await server.asRoot('GET', '/v1/snapshots');
        return Date.parse(String(body.newestTime ?? 0));
      };
      await expect.poll(newest, LATELY).toBeGreaterThan(0);
      await own.kill();
      const failures = (): number =>
        lines.filter((line) => line.includes('a scheduled snapshot was not begun')).length;
      await expect.poll(failures, LATELY).toBeGreaterThan(1);
      await own.start();
      const backAtMs = systemClock.now();
      await expect.poll(() => newest().catch(() => 0), LATELY).toBeGreaterThan(backAtMs);
    },
  );
});

describe('the age of the newest snapshot', () => {
  it('is that of the store on every server, whichever has taken it', LONG, async () => {
    const storage = storageAt(newSchema());
    const snapshots = { schedule: '0 3 1 1 *', keep: 0, hook: undefined };
    const metrics = { host: '127.0.0.1', port: 0 };
    const clock = createManualClock(systemClock.now() - 30 * HOUR_MS);
    await using one = await startTestServer({ storage });
    await using other = await startTestServer({ storage, snapshots, metrics }, { clock });
    clock.advance(30 * HOUR_MS);
    const token = await one.rootToken();
    const alerts = async (): Promise<readonly string[]> => {
      const { body } = await other.request('GET', '/v1/admin/alerts', { token });
      const all = (body.alerts ?? []) as { rule: string; clearTime?: string }[];
      return all.filter(({ clearTime }) => clearTime === undefined).map(({ rule }) => rule);
    };
    const doctor = async (): Promise<string> => {
      const client = createMoltenClient({ url: other.url, token: () => token });
      const findings = await examineInside(client);
      const found = findings.find(({ name }) => name === 'snapshots recent');
      return `${String(found?.verdict)}: ${String(found?.detail)}`;
    };
    const age = async (): Promise<number> => {
      const text = await (await fetch(other.metricsUrl ?? '')).text();
      return valueOf(parseMetrics(text), 'molten_snapshot_newest_age_seconds');
    };
    await expect.poll(alerts, LATELY).toContain('snapshotAge');
    expect(await doctor()).toMatch(/^FAIL: there is none/);
    await takeSnapshot(one);
    // An alert ends after three looks without cause, of which there is one in five seconds.
    await expect.poll(alerts, { timeout: 60_000 }).not.toContain('snapshotAge');
    expect(await doctor()).toBe('ok: the newest is 0 h old');
    clock.advance(60 * SECOND_MS);
    expect(await age()).toBeGreaterThan(0);
    expect(await age()).toBeLessThan(HOUR_MS / SECOND_MS);
    expect(await causesOf(one)).toHaveLength(1);
    expect((await other.request('GET', '/v1/snapshots', { token })).body.snapshots).toEqual([]);
  });
});
