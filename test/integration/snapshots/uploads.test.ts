import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

const DAY_S = 24 * 60 * 60;

function nameOf(at: number): string {
  return `20260131T235959000Z-${String(at).padStart(16, '0')}`;
}

async function upload(server: TestServer, name: string, file: string): Promise<TestResponse> {
  const part = { file, offset: '0', data: Buffer.from('x').toString('base64') };
  return await server.asRoot('POST', `/v1/snapshots/${name}:uploadPart`, part);
}

/** An upload that nothing was added to for a while. */
function plant(snapshots: string, name: string, ageS: number): string {
  const directory = join(snapshots, `.upload-${name}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, 'moltendb.sqlite'), 'x');
  const seconds = Date.now() / 1000 - ageS;
  utimesSync(join(directory, 'moltendb.sqlite'), seconds, seconds);
  utimesSync(directory, seconds, seconds);
  return directory;
}

describe('uploads of snapshots', () => {
  it('are few at a time, also when they come at once', async () => {
    await using server = await startTestServer();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, at) => upload(server, nameOf(at), 'moltendb.sqlite')),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(8);
    const refused = answers.find(({ status }) => status !== 200);
    expect(refused?.body).toMatchObject({ reason: 'QUOTA_EXCEEDED' });
    expect(refused?.body.detail).toContain('8 uploads');
    // Those that are open go on.
    const [open = ''] = readdirSync(join(server.dbPath, 'snapshots')).sort();
    const again = await upload(server, open.replace('.upload-', ''), 'keyring.json');
    expect(again.status).toBe(200);
  });

  it('have at most the files of a snapshot, with names of such', async () => {
    await using server = await startTestServer();
    const name = nameOf(1);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => upload(server, name, `file-${String(at)}`)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(17);
    const refused = answers.find(({ status }) => status !== 200);
    expect(refused?.body).toMatchObject({ reason: 'ARGUMENT_INVALID' });
    expect(refused?.body.detail).toContain('at most 17 files');
    for (const file of ['a..b', 'a.', '../x', 'A', `a${'b'.repeat(64)}`]) {
      expect((await upload(server, nameOf(2), file)).body.reason).toBe('ARGUMENT_INVALID');
    }
    expect(readdirSync(join(server.dbPath, 'snapshots'))).toEqual([`.upload-${name}`]);
  });

  it('make room when nothing was added to them for a day', async () => {
    await using server = await startTestServer();
    const snapshots = join(server.dbPath, 'snapshots');
    const old = Array.from({ length: 7 }, (_, at) => plant(snapshots, nameOf(at), DAY_S + 60));
    const young = plant(snapshots, nameOf(8), DAY_S - 600);
    expect((await upload(server, nameOf(9), 'moltendb.sqlite')).status).toBe(200);
    expect(old.filter((directory) => existsSync(directory))).toEqual([]);
    expect(existsSync(young)).toBe(true);
  });
});
