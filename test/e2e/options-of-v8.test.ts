/** A server becomes one with the options for V8 that must be there from its beginning, where it can. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { MOLTEN } from '../support/molten.ts';
import { startServe } from '../support/serve.ts';
import { SECRETS } from '../support/served.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const OPTION = '--no-allocation-site-pretenuring';
/** Node before 22.15 cannot. */
const TIMES = 'execve' in process ? 1 : 0;

const commandOf = (pid: number | undefined): readonly string[] =>
  readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0');

describe('the options for V8 of a server', () => {
  it('are there once, in the same process, and change nothing else', async () => {
    using directory = createTemporaryDirectory();
    const args = ['--db-path', directory.path, '--port', '0', '--disable-encryption'];
    await using serve = await startServe({ args, variables: SECRETS });
    const command = commandOf(serve.child.pid);
    expect(command.filter((one) => one === OPTION)).toHaveLength(TIMES);
    expect(command.slice(1 + TIMES, -1)).toEqual([MOLTEN, 'serve', ...args]);
    expect((await fetch(`${serve.url}/healthz`)).status).toBe(200);
    expect(await serve.stop('SIGTERM')).toBe(0);
    expect(serve.stderr()).not.toMatch(/experimental/i);
  });

  it('are not worth a channel to a parent', async () => {
    using directory = createTemporaryDirectory();
    const child = fork(MOLTEN, ['serve', '--dev-mode', '--port', '0'], {
      ...{ cwd: directory.path, stdio: ['ignore', 'pipe', 'inherit', 'ipc'], execArgv: [] },
    });
    await once(child.stdout ?? child, 'data');
    expect(child.connected).toBe(true);
    expect(commandOf(child.pid)).not.toContain(OPTION);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});
