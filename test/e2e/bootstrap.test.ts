/** What `npm start` and `npm test` do first, with an npm that only notes how it was called. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const NPM = `#!/bin/sh
echo "$@" >> "$CALLS"
echo 'npm warn EBADENGINE Unsupported engine' >&2
if [ -e "$BROKEN" ]; then
  echo 'npm error code E404' >&2
  echo 'npm error no such package' >&2
  exit 1
fi
mkdir -p node_modules/node/bin
touch node_modules/node/bin/node
`;

/** A clone with nothing in it but what the script looks at. */
function createClone(path: string): {
  readonly run: () => SpawnSyncReturns<string>;
  readonly calls: () => readonly string[];
} {
  for (const folder of ['scripts', 'bin']) mkdirSync(join(path, folder));
  copyFileSync('scripts/bootstrap.mjs', join(path, 'scripts/bootstrap.mjs'));
  writeFileSync(join(path, 'package-lock.json'), '{}');
  writeFileSync(join(path, 'bin/npm'), NPM);
  chmodSync(join(path, 'bin/npm'), 0o755);
  const notes = join(path, 'calls');
  writeFileSync(notes, '');
  const env = {
    PATH: `${join(path, 'bin')}:${process.env['PATH'] ?? ''}`,
    ...{ CALLS: notes, BROKEN: join(path, 'broken') },
  };
  return {
    run: () =>
      spawnSync(process.execPath, [join(path, 'scripts/bootstrap.mjs')], { env, encoding: 'utf8' }),
    calls: () => readFileSync(notes, 'utf8').split('\n').filter(Boolean),
  };
}

describe('the bootstrap of a clone', () => {
  it('installs once, and again only when the lockfile is another', () => {
    using directory = createTemporaryDirectory();
    const { run, calls } = createClone(directory.path);
    const first = run();
    expect(first.status).toBe(0);
    expect(calls()).toEqual([expect.stringMatching(/^install --no-save /)]);
    const second = run();
    expect([second.status, second.stdout, second.stderr]).toEqual([0, '', '']);
    expect(calls()).toHaveLength(1);
    writeFileSync(join(directory.path, 'package-lock.json'), '{"lockfileVersion": 3}');
    run();
    expect(calls()).toHaveLength(2);
  });

  it('keeps warnings about engines to itself, and tells why an installation failed', () => {
    using directory = createTemporaryDirectory();
    const { run, calls } = createClone(directory.path);
    writeFileSync(join(directory.path, 'broken'), '');
    const failed = run();
    expect([failed.status, failed.stderr.split('\n').filter(Boolean)]).toEqual([
      1,
      [
        expect.stringContaining('installing packages'),
        expect.stringContaining('npm install failed: code E404; no such package'),
      ],
    ]);
    using other = createTemporaryDirectory();
    expect(createClone(other.path).run().stderr).not.toContain('EBADENGINE');
    // What failed is tried again.
    run();
    expect(calls()).toHaveLength(2);
  });
});
