import { describe, expect, it } from 'vitest';

import { refusedStart, startServe } from '../support/serve.ts';
import { ROOT } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { ROLE_ID, SECRET_ID, startVault, LOGIN_TOKEN } from '../support/vault.ts';

const JWT_SECRET = 'a signing secret that only Vault knows, long enough';
const SECRETS = { 'secret/data/moltendb/prod': { jwt: JWT_SECRET, root: ROOT.password } };

function optionsFor(url: string, directory: string, jwt: string): Parameters<typeof startServe>[0] {
  return {
    args: ['--db-path', `${directory}/data`, '--port', '0', '--disable-encryption'],
    directory,
    variables: {
      ...{ MOLTENDB_VAULT_ADDRESS: url, MOLTENDB_VAULT_AUTH: 'approle' },
      ...{ MOLTENDB_VAULT_ROLE_ID: ROLE_ID, MOLTENDB_VAULT_SECRET_ID: SECRET_ID },
      ...{ MOLTENDB_JWT_SECRET_VAULT: jwt, MOLTENDB_LOG_LEVEL: 'debug' },
      MOLTENDB_ROOT_PASSWORD_VAULT: 'moltendb/prod#root',
    },
  };
}

describe('molten serve with secrets in Vault', () => {
  it('starts with them, reloads without asking again, and shows none', async () => {
    using directory = createTemporaryDirectory();
    await using vault = await startVault({ secrets: SECRETS });
    await using server = await startServe(
      optionsFor(vault.url, directory.path, 'moltendb/prod#jwt'),
    );
    const body = JSON.stringify(ROOT);
    const headers = { 'content-type': 'application/json' };
    const login = await fetch(`${server.url}/v1/sessions`, { method: 'POST', headers, body });
    expect(login.status).toBe(200);
    const asked = vault.requests.length;
    server.child.kill('SIGHUP');
    while (!server.stderr().includes('the configuration was reloaded')) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(vault.requests).toHaveLength(asked);
    const printed = server.stdout() + server.stderr();
    for (const secret of [JWT_SECRET, ROOT.password, SECRET_ID, LOGIN_TOKEN]) {
      expect(printed).not.toContain(secret);
    }
    expect(await server.stop('SIGTERM')).toBe(0);
  });

  it('does not start without one, and names the path and what mends it', async () => {
    using directory = createTemporaryDirectory();
    await using vault = await startVault({ secrets: SECRETS });
    const options = optionsFor(vault.url, directory.path, 'moltendb/prod#signing');
    const refused = await refusedStart(options);
    const { code } = refused;
    // As it was before it was wrapped.
    const stderr = refused.stderr.replaceAll(/\s+(› +)?/g, ' ');
    expect(code).toBe(2);
    expect(stderr).toContain('MOLTENDB_JWT_SECRET_VAULT names what secret/data/moltendb/prod');
    expect(stderr).toContain('vault kv patch -mount=secret moltendb/prod signing=-');
    for (const secret of [JWT_SECRET, SECRET_ID, LOGIN_TOKEN]) expect(stderr).not.toContain(secret);
  });
});
