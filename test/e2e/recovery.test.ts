/** From the accident to the recovered server, by the commands an operator has. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { countOf, fill, placeIn, serve } from '../support/operator.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

/** A dozen commands, each a process of its own, on a busy machine. */
const COMMANDS_MS = 300_000;

describe('an operator', () => {
  it('undoes a mistake: looks, recovers, activates, and serves on', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten, data, path } = place;
    const first = await serve(place);
    await fill(place);
    const { sequence } = await molten.json<{ readonly sequence: string }>('status');
    const mistake = [
      'docs',
      'delete',
      'orders',
      '--where',
      '{"total":{"$gte":50}}',
      '--limit',
      '150',
    ];
    expect((await molten(...mistake)).code).toBe(0);
    expect(await countOf(molten, 'orders')).toBe(50);
    expect(await first.stop('SIGTERM')).toBe(0);

    const out = join(path, 'recovered');
    const to = ['--db-path', data, '--out', out, '--to-sequence', sequence];
    const looked = await molten.json<{ readonly differences: object[] }>(
      'recover',
      ...to,
      '--dry-run',
    );
    expect(looked.differences).toMatchObject([{ collection: 'orders', added: 150, removed: 0 }]);
    expect(existsSync(out)).toBe(false);
    const recovered = await molten('recover', ...to, '--activate');
    expect(recovered.code, recovered.stderr).toBe(0);
    expect(recovered.stdout).toContain('what was there is in');
    expect(readdirSync(path).some((name) => name.startsWith('data.before-'))).toBe(true);

    await using second = await serve(place);
    expect(await countOf(molten, 'orders')).toBe(200);
    expect(second.url).not.toBe('');
  });

  it('brings one document back beside everything as it is now', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten, data, path } = place;
    const first = await serve(place);
    await fill(place);
    const { sequence } = await molten.json<{ readonly sequence: string }>('status');
    await molten('docs', 'delete', 'orders', 'o7', 'o8');
    await first.stop('SIGTERM');
    const recovered = await molten(
      ...['recover', '--db-path', data, '--out', join(path, 'out'), '--to-sequence', sequence],
      ...['--collection', 'orders', '--key', 'o7', '--as', 'orders-back', '--activate'],
    );
    expect(recovered.code, recovered.stderr).toBe(0);
    await using second = await serve(place);
    expect([await countOf(molten, 'orders'), await countOf(molten, 'orders-back')]).toEqual([
      198, 1,
    ]);
    expect(second.url).not.toBe('');
  });

  it('rebuilds a lost store from a downloaded snapshot and the archive', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten, data, path } = place;
    const first = await serve(place);
    await fill(place);
    const taken = await molten('snapshots', 'create');
    expect(taken.code, taken.stderr).toBe(0);
    const name = taken.stdout.trim();
    mkdirSync(join(path, 'elsewhere'));
    const copied = await molten('snapshots', 'download', name, '-o', join(path, 'elsewhere'));
    expect(copied.code, copied.stderr).toBe(0);
    await molten('docs', 'set', 'orders', 'late', '{"total": 1}');
    expect(await first.stop('SIGTERM')).toBe(0);

    const snapshot = join(path, 'elsewhere', name);
    const verified = await molten('verify', snapshot);
    expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('is sound')]);
    const archive = join(path, 'archive');
    const checked = await molten('verify', archive, '--store', snapshot);
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringContaining('segments')]);
    const fresh = join(path, 'fresh');
    const recovered = await molten(
      ...['recover', '--snapshot', snapshot, '--archive', archive, '--db-path', fresh],
      ...['--out', join(path, 'out'), '--activate'],
    );
    expect(recovered.code, recovered.stderr).toBe(0);
    await using second = await serve({ ...place, data: fresh });
    expect(await countOf(molten, 'orders')).toBe(201);
    expect(second.url).not.toBe('');
    expect(existsSync(data)).toBe(true);
  });

  it(
    'brings a snapshot to another server, and recovers from it there',
    async () => {
      using directory = createTemporaryDirectory();
      const place = placeIn(directory.path);
      const { molten, path } = place;
      const first = await serve(place);
      await fill(place);
      const name = (await molten('snapshots', 'create')).stdout.trim();
      const elsewhere = join(path, 'elsewhere');
      mkdirSync(elsewhere);
      await molten('snapshots', 'download', name, '-o', elsewhere);
      expect(await first.stop('SIGTERM')).toBe(0);

      const other = { ...place, data: join(path, 'other') };
      const second = await serve(other);
      const none = await molten('snapshots', 'upload', elsewhere);
      expect([none.code, none.stderr]).toEqual([
        2,
        expect.stringContaining('there is no snapshot in'),
      ]);
      const uploaded = await molten('snapshots', 'upload', join(elsewhere, name));
      expect([uploaded.code, uploaded.stdout.trim()], uploaded.stderr).toEqual([0, name]);
      expect((await molten('snapshots', 'list')).stdout).toContain(name);
      const again = await molten('snapshots', 'upload', join(elsewhere, name));
      expect([again.code === 0, again.stderr]).toEqual([false, expect.stringContaining('already')]);
      expect(await second.stop('SIGTERM')).toBe(0);
      const recovered = await molten(
        ...['recover', '--snapshot', join(other.data, 'snapshots', name), '--db-path', other.data],
        ...['--out', join(path, 'out'), '--activate'],
      );
      expect(recovered.code, recovered.stderr).toBe(0);
      await using third = await serve(other);
      expect(await countOf(molten, 'orders')).toBe(200);
      expect(third.url).not.toBe('');
    },
    COMMANDS_MS,
  );

  it(
    'brings a whole collection back beside the others, and makes it live in a second step',
    async () => {
      using directory = createTemporaryDirectory();
      const place = placeIn(directory.path);
      const { molten, data, path } = place;
      const first = await serve(place);
      await fill(place);
      const { sequence } = await molten.json<{ readonly sequence: string }>('status');
      expect((await molten('docs', 'delete', 'orders', 'o1', 'o2')).code).toBe(0);
      await first.stop('SIGTERM');
      const out = join(path, 'out');
      const recovered = await molten(
        // The flag as it was called before.
        ...['recover', '--db-path', data, '--out', out, '--to-seq', sequence],
        ...['--collection', 'orders', '--as', 'orders-back'],
      );
      expect(recovered.code, recovered.stderr).toBe(0);
      const activated = await molten('activate', out, '--db-path', data);
      expect(activated.code, activated.stderr).toBe(0);
      expect(existsSync(out)).toBe(false);
      await using second = await serve(place);
      expect([await countOf(molten, 'orders'), await countOf(molten, 'orders-back')]).toEqual([
        198, 200,
      ]);
      expect(second.url).not.toBe('');
    },
    COMMANDS_MS,
  );

  it('is shown the way when a log of MoltenDB 0.x is given to a recovery', async () => {
    using directory = createTemporaryDirectory();
    const { molten, path } = placeIn(directory.path);
    const log = join(path, 'molten.log');
    writeFileSync(log, '{"cmd":"INSERT","collection":"c","key":"a","value":{"n":1},"_t":1}\n');
    for (const flag of ['--log', '--archive']) {
      const { code, stderr } = await molten('recover', flag, log, '--out', join(path, 'out'));
      expect([code, stderr]).toEqual([2, expect.stringContaining('molten upgrade')]);
    }
    expect(existsSync(join(path, 'out'))).toBe(false);
  });

  it('changes the encryption key, and the key behind it', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten, data, path } = place;
    const first = await serve(place);
    await fill(place);
    const open = await molten(
      'encryption',
      'rotate-offline',
      '--db-path',
      data,
      '--out',
      join(path, 'x'),
      '--activate',
    );
    expect([open.code, open.stderr]).toEqual([8, expect.stringContaining('another process')]);
    await first.stop('SIGTERM');
    const file = join(path, 'new-key');
    writeFileSync(file, 'the second encryption key\n');
    const changed = await molten(
      ...['encryption', 'change-password', '--db-path', data, '--new-encryption-key-file', file],
    );
    expect(changed.code, changed.stderr).toBe(0);
    const refused = await molten('verify', '--db-path', data);
    expect([refused.code, refused.stderr]).toEqual([8, expect.stringContaining('encryption key')]);
    const rotated = await molten(
      ...['encryption', 'rotate-offline', '--db-path', data, '--activate'],
      ...['--out', join(path, 'rotated')],
      ...['--encryption-key-file', file],
    );
    expect(rotated.code, rotated.stderr).toBe(0);
    await using second = await serve(place, 'the second encryption key');
    expect(await countOf(molten, 'orders')).toBe(200);
    expect(second.url).not.toBe('');
  });

  it('gives a store whose encryption key no server takes any more another one', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten, data, path } = place;
    const here = await serve(place, 'changeme');
    expect(here.stderr()).toContain('--encryption-key is short and could be guessed');
    await fill(place);
    await here.stop('SIGTERM');
    const beyond = ['--host', '0.0.0.0', '--allow-cleartext'];
    const refused = await serve(place, 'changeme', beyond).catch(String);
    expect(refused).toMatch(/molten\s+(› +)?encryption\s+(› +)?change-password/);
    const [old, next] = [join(path, 'old'), join(path, 'next')];
    writeFileSync(old, 'changeme\n');
    writeFileSync(next, 'mMpIqf3gkuJ5tqDFvVsD\n');
    const changed = await molten(
      ...['encryption', 'change-password', '--db-path', data, '--new-encryption-key-file', next],
      ...['--encryption-key-file', old],
    );
    expect(changed.code, changed.stderr).toBe(0);
    await using server = await serve(place, 'mMpIqf3gkuJ5tqDFvVsD', beyond);
    expect(await countOf(molten, 'orders')).toBe(200);
    expect(server.stderr()).not.toContain('could be guessed');
  });
});
