/** Every end-to-end test runs on both engines, or on one with a reason; asked of the runner itself. */
import { execFileSync } from 'node:child_process';
import { matchesGlob, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { EMBEDDED_ONLY, ON_BOTH } from '../engines.ts';
import { FILES } from './tree.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUNNER = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
const REASON_WORDS_MIN = 5;
const E2E = FILES.map(({ path }) => path).filter((path) => /^test\/e2e\/.*\.test\.ts$/.test(path));
const LEFT_OUT = Object.keys(EMBEDDED_ONLY);

/** The files that a project runs, by path from the root of the tree. */
function filesOf(project: string): readonly string[] {
  const args = [RUNNER, 'list', '--filesOnly', '--json', '--project', project];
  const listed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  const files = JSON.parse(listed) as readonly { readonly file: string }[];
  return files.map(({ file }) => relative(ROOT, file).replaceAll('\\', '/')).toSorted();
}

describe('the engines', () => {
  it('each run every end-to-end test but for those of the list', () => {
    expect(filesOf('e2e')).toEqual(E2E.toSorted());
    const again = filesOf('postgres').filter((path) => path.startsWith('test/e2e/'));
    expect([...again, ...LEFT_OUT].toSorted()).toEqual(E2E.toSorted());
  });

  it('are named with tests that there are, and a reason for each that is left out', () => {
    const again = filesOf('postgres');
    expect(ON_BOTH.filter((one) => !again.some((path) => matchesGlob(path, one)))).toEqual([]);
    expect(LEFT_OUT.filter((path) => !ON_BOTH.some((one) => matchesGlob(path, one)))).toEqual([]);
    const bare = Object.entries(EMBEDDED_ONLY).filter(
      ([, reason]) => reason.split(' ').length < REASON_WORDS_MIN,
    );
    expect(bare).toEqual([]);
  });
});
