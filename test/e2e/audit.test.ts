import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { createMolten } from '../support/molten.ts';
import { ROOT, startTestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

describe('molten audit', () => {
  it('lists, follows and verifies, and checks a file without a server', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'audit.log');
    await using server = await startTestServer({ audit: { retainMs: 0, file } });
    const molten = createMolten(directory.path, {
      ...{ MOLTEN_PASSWORD: ROOT.password, MOLTEN_URL: server.url },
    });
    await molten('login', '--url', server.url, '--username', ROOT.username);
    for (const id of ['a', 'b', 'c']) await molten('tokens', 'revoke', id);

    const listed = await molten.json<{ records: readonly { resource?: string }[] }>(
      ...['audit', 'list', '--action', 'token.*', '--limit', '2', '--from', '2020-01-01T00:00:00Z'],
    );
    expect(listed.records.map(({ resource }) => resource)).toEqual(['c', 'b']);

    const followed = await molten('audit', 'follow', '--after', '0', '--count', '4');
    const lines = followed.stdout.trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { action: string }).action)).toEqual([
      ...['session.login', 'token.revoke', 'token.revoke', 'token.revoke'],
    ]);

    const sound = await molten('audit', 'verify');
    expect([sound.code, sound.stdout]).toEqual([0, expect.stringContaining('records 1 to 4')]);
    await server.close();

    const checked = await molten('audit', 'verify', '--file', file);
    expect([checked.code, checked.stdout]).toEqual([
      0,
      expect.stringContaining('only by a server'),
    ]);
    const other = join(directory.path, 'other.log');
    const [first = '', , third = ''] = readFileSync(file, 'utf8').split('\n');
    appendFileSync(other, `${first}\n${third}\n`);
    const broken = await molten('audit', 'verify', '--file', other);
    expect([broken.code, broken.stderr]).toEqual([
      1,
      expect.stringContaining('record 3 comes after'),
    ]);
  });
});
