/** Where the servers of this run keep their stores: what all other tests of the two engines rely on. */
import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { startServe } from '../support/serve.ts';
import { ROOT, startTestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const VARIABLES = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: ROOT.password,
};

it('a server has its store in the engine of the project, however it starts', async ({ task }) => {
  using directory = createTemporaryDirectory();
  await using inside = await startTestServer();
  const args = ['--db-path', directory.path, '--port', '0'];
  await using outside = await startServe({ args, variables: VARIABLES });
  const isShared = task.file.projectName === 'postgres';
  for (const url of [inside.url, outside.url]) {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(ROOT);
    const login = await fetch(`${url}/v1/sessions`, { method: 'POST', headers, body });
    const { token } = (await login.json()) as { readonly token: string };
    const asked = await fetch(`${url}/v1/status`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await asked.json()).toMatchObject({ shared: isShared });
  }
  const told = readFileSync(`/proc/${String(outside.child.pid)}/cmdline`, 'utf8');
  expect(told).not.toContain('storage');
});
