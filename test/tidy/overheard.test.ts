import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttp1 } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { createMoltenClient } from '../../src/client/index.ts';
import { leaked, overhearLog, overhearStart } from '../support/overheard.ts';
import '../support/no-secret-in-logs.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

let line = '';
overhearLog(() => `${line}\n`);

/** What the search finds when a server prints this. */
function findIn(printed: string): readonly string[] {
  line = printed;
  return leaked();
}

describe('the search for secrets in what servers print', () => {
  // It is made for the end of each file, and of this one too.
  afterEach(() => {
    line = '';
  });

  it.each(['connect', 'grpc'] as const)('knows tokens that are sent: %s', async (protocol) => {
    const secret = `sent-over-${protocol}-and-never-printed`;
    const handle = (
      _: unknown,
      response: { writeHead: (status: number) => unknown } & Writable,
    ) => {
      response.writeHead(503);
      response.end();
    };
    const server = protocol === 'grpc' ? createHttp2(handle) : createHttp1(handle);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${String(port)}`;
    const client = createMoltenClient({ url, protocol, token: () => secret });
    await expect(client.system.getHealth({})).rejects.toThrow();
    server.close();
    expect(findIn(`called with ${secret}`)).toHaveLength(1);
    expect(findIn('called')).toEqual([]);
  });

  it('knows what a process is given: in its file, in .env, and in files that those name', () => {
    using directory = createTemporaryDirectory();
    const file = (name: string, text: string): void => {
      writeFileSync(join(directory.path, name), text);
    };
    file('molten.toml', 'jwt-secret = "of-the-file-1"\nroot-password-file = "password"\n');
    file('password', 'of-the-named-file-2\n');
    file('.env', 'MOLTENDB_ENCRYPTION_KEY=of-the-dot-env-3\n');
    const variables = { MOLTENDB_SETUP_TOKEN: 'of-a-variable-4' };
    overhearStart(['--config', 'molten.toml'], variables, directory.path);
    for (const secret of [
      ...['of-the-file-1', 'of-the-named-file-2', 'of-the-dot-env-3', 'of-a-variable-4'],
    ]) {
      expect(findIn(`it is ${secret}.`)).toEqual([`${secret} in: it is ${secret}.`]);
    }
  });
});
