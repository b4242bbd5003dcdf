/** A revocation that was answered holds, whatever happens to the process right afterwards. */
import { describe, expect, it } from 'vitest';

import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const PASSWORD = 'a password long enough for tests';
/** Tokens below the one that is revoked. More or fewer: MOLTEN_TREE=1000. */
const TREE = Number(process.env['MOLTEN_TREE'] ?? 10_000);
const AT_ONCE = 32;
const FANOUT = 12;

interface Delegated {
  readonly token: string;
  readonly tokenId: string;
}

/** What of the answers to these calls is looked at. */
interface Answer {
  readonly token?: string;
  readonly principal?: { readonly tokenId: string };
  readonly impact?: { readonly tokens: string };
  readonly reason?: string;
}

async function call(
  url: string,
  [method, path, body]: readonly [string, string, object?],
  token?: string,
): Promise<{ readonly status: number; readonly body: Answer }> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer };
}

async function login(url: string): Promise<string> {
  const body = { username: 'root', password: PASSWORD };
  return String((await call(url, ['POST', '/v1/sessions', body])).body.token);
}

async function delegate(url: string, token: string): Promise<Delegated> {
  const body = { clientId: 'x', scopes: ['read:c:*'] };
  const answer = await call(url, ['POST', '/v1/tokens', body], token);
  expect(answer.status).toBe(200);
  return { token: String(answer.body.token), tokenId: String(answer.body.principal?.tokenId) };
}

/** A tree below one token, breadth first, up to seven more levels deep. */
async function grow(url: string, top: Delegated): Promise<readonly Delegated[]> {
  const all: Delegated[] = [top];
  const waiting: { readonly parent: Delegated; readonly depth: number }[] = [];
  for (let at = 0; at < FANOUT; at++) waiting.push({ parent: top, depth: 2 });
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (all.length > TREE) return;
      const child = await delegate(url, next.parent.token);
      all.push(child);
      if (next.depth >= 8) continue;
      for (let at = 0; at < FANOUT; at++) waiting.push({ parent: child, depth: next.depth + 1 });
    }
  };
  // The first fills the queue for the others.
  await Promise.all([work(), ...Array.from({ length: AT_ONCE - 1 }, () => delegateLater(work))]);
  return all;
}

async function delegateLater(work: () => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, 100));
  await work();
}

describe('revoking the top of a tree of delegations', () => {
  it('takes all of it down at once, and kill -9 right after the answer changes nothing', async () => {
    using directory = createTemporaryDirectory();
    const variables = {
      MOLTENDB_JWT_SECRET: 'a secret of at least thirty-two bytes, for tests',
      MOLTENDB_ROOT_PASSWORD: PASSWORD,
    };
    const args = ['--db-path', directory.path, '--port', '0', '--log-level', 'error'];
    let tree: readonly Delegated[];
    let spared: Delegated;
    {
      await using server = await startServe({ args, variables });
      const { url } = server;
      const root = await login(url);
      const top = await delegate(url, root);
      spared = await delegate(url, root);
      tree = await grow(url, top);
      expect(tree.length).toBeGreaterThan(TREE);
      const body = { kind: 'REVOCATION_KIND_TOKEN', id: top.tokenId };
      const preview = await call(url, ['POST', '/v1/tokens:previewRevocation', body], root);
      expect(Number(preview.body.impact?.tokens)).toBe(tree.length);
      const revoked = await call(url, ['DELETE', `/v1/tokens/${top.tokenId}`], root);
      expect(revoked.status).toBe(200);
      server.child.kill('SIGKILL');
    }
    await using server = await startServe({ args, variables });
    for (const { token } of tree) {
      const { status, body } = await call(server.url, ['GET', '/v1/sessions/current'], token);
      expect([status, body.reason]).toEqual([401, 'CREDENTIAL_REVOKED']);
    }
    const alive = await call(server.url, ['GET', '/v1/sessions/current'], spared.token);
    expect(alive.status).toBe(200);
  }, 300_000);
});
