/** Flags about what happens by the clock: snapshots by schedule, and what is kept for how long. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { serveWith } from '../support/served.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

/** Audit records are looked at once a minute. */
const MINUTES_MS = 180_000;
const POLL = { timeout: 120_000, interval: 500 };
const PATH = '/v1/collections/things/documents/a';

type Snapshots = readonly { readonly name: string; readonly hook?: object }[];

it(
  'flags about time: snapshots are taken, kept and told of, and the past goes',
  async () => {
    using directory = createTemporaryDirectory();
    const script = join(directory.path, 'after.sh');
    writeFileSync(script, '#!/bin/sh\nexec sleep 600\n');
    chmodSync(script, 0o700);
    await using served = await serveWith([
      ...['--snapshot-schedule', '* * * * * *', '--snapshot-keep', '2'],
      ...['--post-backup-script', script, '--post-backup-timeout', '1'],
      ...['--retain-history', '1', '--audit-retention', '1'],
    ]);
    const token = await served.login();
    // The newest record stays, whatever its age.
    await served.login();
    const body = { body: { fields: { n: 1 } } };
    const { body: written } = await served.ask('PUT', PATH, { token, body });
    const { sequence } = written.result;
    const listed = async (): Promise<Snapshots> =>
      ((await served.ask('GET', '/v1/snapshots', { token })).body.snapshots ?? []) as Snapshots;
    const ended = async (): Promise<object | undefined> =>
      (await listed()).find(({ hook }) => hook !== undefined)?.hook;
    await expect.poll(ended, POLL).toMatchObject({ command: script, timedOut: true });
    const [first] = await listed();
    const isGone = async (): Promise<boolean> =>
      (await listed()).every(({ name }) => name !== first?.name);
    await expect.poll(isGone, POLL).toBe(true);
    expect((await listed()).length).toBeLessThanOrEqual(3);

    // The newest entry of the log is kept whatever its age.
    for (const n of [2, 3]) {
      await served.ask('PUT', PATH, { token, body: { body: { fields: { n } } } });
    }
    const past = `${PATH}?readSequence=${String(sequence)}`;
    const reason = async (): Promise<unknown> =>
      (await served.ask('GET', past, { token })).body.reason;
    await expect.poll(reason, POLL).toBe('SEQUENCE_COMPACTED');
    const oldest = async (): Promise<number> => {
      const list = '/v1/auditRecords?order=AUDIT_ORDER_OLDEST_FIRST&pageSize=1';
      const { body: page } = await served.ask('GET', list, { token });
      return Number(page.records[0].number);
    };
    await expect.poll(oldest, POLL).toBeGreaterThan(1);
  },
  MINUTES_MS,
);
