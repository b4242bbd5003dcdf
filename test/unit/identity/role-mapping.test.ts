import { describe, expect, it } from 'vitest';

import { normalizeName } from '../../../src/identity/distinguished-name.ts';
import { mapRoles } from '../../../src/identity/role-mapping.ts';

function rolesOf(groups: readonly string[], key: string, kind: 'ldap' | 'oidc'): readonly string[] {
  const identity = { provider: 'p', issuer: 'i', subject: 's', username: 'u', groups };
  const mapping = { groups: { [key]: ['role'] }, defaultRoles: [], provision: true };
  return mapRoles(
    { ...identity, displayName: '', email: '', isEmailVerified: false },
    mapping,
    kind,
  );
}

describe('groups of a directory', () => {
  it.each([
    ['cn=Ops,dc=x', 'CN=ops, DC=X'],
    ['cn=Ops,dc=x', 'cn = Ops ; dc=x'],
    ['cn=a  b,dc=x', 'cn=A b,dc=x'],
    ['cn=a\\,b,dc=x', 'cn="a,b",dc=x'],
    ['cn=a\\2cb,dc=x', 'cn=a\\,b,dc=x'],
    ['cn=M\\C3\\BCller,dc=x', 'cn=müller,dc=x'],
    ['cn=a+ou=b,dc=x', 'ou=B+cn=A,dc=x'],
    ['cn=Ops,dc=x', 'ops'],
    ['cn=Ops  Team,dc=x', ' ops team '],
  ])('%s is %s', (group, key) => {
    expect(rolesOf([group], key, 'ldap')).toEqual(['role']);
  });

  it.each([
    ['cn=ops,dc=x', 'cn=ops,dc=y'],
    ['cn=ops,dc=x', 'cn=ops'],
    ['cn=ops,ou=a,dc=x', 'cn=ops,dc=x'],
    ['cn=a\\,dc=x', 'cn=a,dc=x'],
    ['cn=a\\5c2cb,dc=x', 'cn=a\\,b,dc=x'],
    ['ou=ops,dc=x', 'ops'],
    ['cn=ops+ou=a,dc=x', 'ops'],
    ['ops', 'ops'],
    ['', ''],
    ['nonsense', 'not=a,name'],
    ['cn=__proto__,dc=x', 'constructor'],
  ])('%s is not %s', (group, key) => {
    expect(rolesOf([group], key, 'ldap')).toEqual([]);
  });
});

describe('groups of an issuer', () => {
  it('are the same when they are the same text', () => {
    expect(rolesOf(['ops'], 'ops', 'oidc')).toEqual(['role']);
    for (const group of ['Ops', ' ops', 'cn=ops,dc=x', '']) {
      expect(rolesOf([group], 'ops', 'oidc')).toEqual([]);
    }
  });
});

describe('a distinguished name', () => {
  it.each(['', 'x', '=x', 'cn=a,', 'cn=a,,dc=x', 'cn="a', 'cn=a"b', 'cn=a\\', 'cn=a\\2'])(
    'is not %j',
    (text) => {
      expect(normalizeName(text)).toBeUndefined();
    },
  );

  it('is told from what is none in little time, whatever somebody wrote', () => {
    const startMs = performance.now();
    for (const piece of ['\\2c', ' ', '\\,', '"', 'a=', '+', 'a', '\\a']) {
      normalizeName(`cn=${piece.repeat(2000)}"`);
      normalizeName(`${piece.repeat(2000)}"`);
    }
    expect(performance.now() - startMs).toBeLessThan(1000);
  });
});
