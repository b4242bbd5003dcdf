/** An operator: a directory, a server with an archive in it, and the command line. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'vitest';

import { createMolten, type Molten } from './molten.ts';
import { startServe, type ServeProcess } from './serve.ts';

const PASSWORD = 'a password long enough for tests';
const SECRETS = {
  MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
  MOLTENDB_ENCRYPTION_KEY: 'the first encryption key',
};

/** Where an operator works; `data` is the directory of the server. */
export interface Place {
  readonly path: string;
  readonly data: string;
  readonly molten: Molten;
}

/** An operator in an empty directory. */
export function placeIn(path: string): Place {
  const { MOLTENDB_ENCRYPTION_KEY } = SECRETS;
  const molten = createMolten(path, { MOLTEN_PASSWORD: PASSWORD, MOLTENDB_ENCRYPTION_KEY });
  return { path, data: join(path, 'data'), molten };
}

/** Starts the server, with another encryption key or the usual one and what flags are to be added, and signs in. */
export async function serve(
  { data, path, molten }: Place,
  key?: string,
  more: readonly string[] = [],
): Promise<ServeProcess> {
  const archive = ['--archive-dir', join(path, 'archive'), '--archive-interval', '1'];
  const variables = key === undefined ? SECRETS : { ...SECRETS, MOLTENDB_ENCRYPTION_KEY: key };
  const server = await startServe({
    ...{ args: ['--db-path', data, '--port', '0', ...archive, ...more], variables },
  });
  const { code, stderr } = await molten('login', server.url);
  expect(code, stderr).toBe(0);
  return server;
}

/** How many documents a collection has. */
export async function countOf(molten: Molten, collection: string): Promise<number> {
  const { total } = await molten.json<{ readonly total: number }>(
    ...['docs', 'query', collection, '--total', '--limit', '1'],
  );
  return total;
}

/** Imports 200 orders, `o0` to `o199`. */
export async function fill({ path, molten }: Place): Promise<void> {
  const file = join(path, 'orders.json');
  const orders = Array.from({ length: 200 }, (_, at) => ({ id: `o${String(at)}`, total: at }));
  writeFileSync(file, JSON.stringify(orders));
  const imported = await molten('docs', 'import', file, '-c', 'orders', '-k', 'id');
  expect(imported.code, imported.stderr).toBe(0);
}
