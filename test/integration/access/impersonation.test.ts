/** Who may act as whom: every role as every role, and what the audit log says of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';
import { login, makeUser } from './team.ts';

const ROLES = ['viewer', 'editor', 'operator', 'admin'] as const;
type RoleName = (typeof ROLES)[number];

/** As whom each role may act when it may act as somebody at all: strictly downward, and never sideways. */
const MATRIX: Readonly<Record<RoleName, Readonly<Record<RoleName, boolean>>>> = {
  viewer: { viewer: true, editor: false, operator: false, admin: false },
  editor: { viewer: true, editor: true, operator: false, admin: false },
  operator: { viewer: false, editor: false, operator: true, admin: false },
  admin: { viewer: true, editor: true, operator: true, admin: false },
};

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  for (const role of ROLES) {
    // The right to act as somebody is itself more than the role has.
    await makeUser(server, `actor-${role}`, { roles: [role], scopes: ['impersonate:*:*'] });
    await makeUser(server, `peer-${role}`, { roles: [role], scopes: ['impersonate:*:*'] });
    await makeUser(server, `plain-${role}`, { roles: [role] });
  }
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const act = async (token: string, name: string): Promise<string> => {
  const path = `/v1/users/${name}:impersonate`;
  const { status, body } = await server.request('POST', path, { token, body: {} });
  return status === 200 ? String(body.principal.subject) : String(body.reason);
};

describe.each(ROLES)('the role %s', (role) => {
  it('acts as those of lower roles alone', async () => {
    const { token } = await login(server, `actor-${role}`);
    const found: Record<string, boolean> = {};
    for (const other of ROLES) {
      const outcome = await act(token, `plain-${other}`);
      expect([`plain-${other}`, 'SCOPE_MISSING']).toContain(outcome);
      found[other] = outcome === `plain-${other}`;
      // Who may do as much in every respect is never lower.
      const isLower = role === 'admin' ? other !== 'admin' : false;
      const peer = await act(token, `peer-${other}`);
      const mayPeer = isLower || (role === 'editor' && other === 'viewer');
      expect([other, peer]).toEqual([other, mayPeer ? `peer-${other}` : 'SCOPE_MISSING']);
    }
    expect(found).toEqual(MATRIX[role]);
    expect(await act(token, `actor-${role}`)).toBe('SCOPE_MISSING');
  });

  it('acts as nobody without the right to', async () => {
    const { token } = await login(server, `plain-${role}`);
    const isAdmin = role === 'admin';
    for (const other of ROLES) {
      const may = isAdmin && other !== 'admin';
      expect([other, await act(token, `plain-${other}`)]).toEqual([
        ...[other, may ? `plain-${other}` : 'SCOPE_MISSING'],
      ]);
    }
  });
});

describe('the audit record of a call by somebody as another', () => {
  it('names both', async () => {
    const { token } = await login(server, 'actor-admin');
    await makeUser(server, 'keeper', { scopes: ['tokens:*:*'] });
    const path = '/v1/users/keeper:impersonate';
    const made = await server.request('POST', path, { token, body: {} });
    const body = { kind: 'REVOCATION_KIND_USER_SESSIONS', id: 'plain-viewer' };
    const done = await server.request('POST', '/v1/tokens:revoke', {
      ...{ token: String(made.body.token), body },
    });
    expect(done.status).toBe(200);
    const recordOf = async (action: string): Promise<Readonly<Record<string, unknown>>> => {
      const query = `?action=${action}&pageSize=1`;
      return (await server.asRoot('GET', `/v1/auditRecords${query}`)).body.records[0];
    };
    const { actor, impersonator, resource, result } = await recordOf('token.revokeMany');
    expect({ actor, impersonator, resource, result }).toEqual({
      ...{ actor: 'keeper', impersonator: 'actor-admin', resource: 'plain-viewer' },
      result: 'AUDIT_RESULT_SUCCESS',
    });
    const begun = await recordOf('session.impersonate');
    expect([begun['actor'], begun['impersonator'] ?? '', begun['resource']]).toEqual([
      ...['actor-admin', '', 'keeper'],
    ]);
  });
});
