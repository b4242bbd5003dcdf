/** The server as the first process of a container, which the system protects from signals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { MOLTEN } from '../support/molten.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const LONG_MS = 30_000;

describe('a server that is the first process of a container', () => {
  it('ends at the second signal, as everywhere', { timeout: 2 * LONG_MS }, async () => {
    using directory = createTemporaryDirectory();
    const container = spawn(
      'unshare',
      [
        ...['--map-root-user', '--pid', '--fork', '--kill-child', process.execPath, MOLTEN],
        ...['serve', '--dev-mode', '--port', '0', '--db-path', directory.path],
        ...['--shutdown-delay', '600'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = once(container, 'exit');
    let printed = '';
    container.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
    await expect.poll(() => printed, { timeout: LONG_MS }).toMatch(/listens on \S+\n/);
    const [, url = ''] = /listens on (\S+)/.exec(printed) ?? [];
    const outer = String(container.pid);
    const first = Number(readFileSync(`/proc/${outer}/task/${outer}/children`, 'utf8').trim());
    process.kill(first, 'SIGTERM');
    await expect
      .poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: LONG_MS })
      .toBe(503);
    process.kill(first, 'SIGTERM');
    const [code] = (await Promise.race([exited, wait(LONG_MS, ['still there'])])) as unknown[];
    container.kill('SIGKILL');
    // That of SIGTERM, as a shell has it.
    expect(code).toBe(128 + 15);
  });
});
