/** Signing in against a real directory server: its answers, its absence, and names made to deceive it. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { createLdapDirectory } from '../../../src/identity/ldap.ts';
import type { LdapDirectoryOptions } from '../../../src/identity/ldap-options.ts';
import { mapRoles } from '../../../src/identity/role-mapping.ts';
import { certificate } from '../../support/certificate.ts';
import { ROOT, SERVICE, startDirectory, startTlsFront } from '../../support/directory.ts';
import type { Directory } from '../../support/directory.ts';

const ADA = `uid=ada,ou=people,${ROOT}`;
const GROUP = `cn=Operators,ou=groups,${ROOT}`;
const ENTRIES = [
  {
    dn: ADA,
    password: 'correct horse',
    attributes: {
      ...{ uid: 'ada', cn: 'Ada Lovelace', mail: 'ada@example.org', entryuuid: 'b0c1' },
      memberof: [`cn=engines,ou=groups,${ROOT}`],
    },
  },
  {
    dn: `uid=grace,ou=people,${ROOT}`,
    password: 'pässwörd ✓',
    attributes: { uid: 'grace', cn: 'Grace Hopper' },
  },
  {
    dn: `cn=O\\27Brien (x)*,ou=people,${ROOT}`,
    password: 'odd',
    attributes: { uid: 'o(b)*', cn: "O'Brien (x)*" },
  },
  {
    dn: `uid=twin,ou=north,ou=people,${ROOT}`,
    password: 'twin',
    attributes: { uid: 'twin', cn: 'North' },
  },
  {
    dn: `uid=twin,ou=south,ou=people,${ROOT}`,
    password: 'twin',
    attributes: { uid: 'twin', cn: 'South' },
  },
  {
    dn: `uid=many,ou=people,${ROOT}`,
    password: 'many',
    attributes: {
      ...{ uid: 'many', cn: 'Many' },
      memberof: Array.from({ length: 1001 }, (_, at) => `cn=g${at},ou=groups,${ROOT}`),
    },
  },
  {
    dn: `uid=ida,ou=people,${ROOT}`,
    password: 'ida',
    attributes: {
      ...{ uid: 'ida', objectguid: Buffer.from('c3a900ff', 'hex') },
      'memberof;range=0-1499': [GROUP],
    },
  },
  { dn: GROUP, attributes: { cn: 'Operators', member: [ADA] } },
];

let directory: Directory;

beforeAll(async () => {
  directory = await startDirectory(ENTRIES);
});
afterAll(async () => {
  await directory[Symbol.asyncDispose]();
});
beforeEach(() => {
  directory.binds.length = 0;
  directory.filters.length = 0;
});

function optionsFor(more: Partial<LdapDirectoryOptions> = {}): LdapDirectoryOptions {
  return {
    name: 'office',
    url: `ldap://127.0.0.1:${directory.port}`,
    service: SERVICE,
    userBase: `ou=people,${ROOT}`,
    userFilter: '(uid={username})',
    ...more,
  };
}

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(65_536);
}

function directoryWith(
  more: Partial<LdapDirectoryOptions> = {},
): ReturnType<typeof createLdapDirectory> {
  return createLdapDirectory(optionsFor(more));
}

describe('signing in with a directory', () => {
  it('says who it is, with groups listed and groups found', async () => {
    const ldap = directoryWith({ groupBase: `ou=groups,${ROOT}`, subjectAttribute: 'entryUUID' });
    expect(await ldap.authenticate('ada', 'correct horse')).toEqual({
      provider: 'office',
      issuer: `ldap://127.0.0.1:${directory.port}`,
      subject: 'b0c1',
      username: 'ada',
      displayName: 'Ada Lovelace',
      email: 'ada@example.org',
      isEmailVerified: false,
      groups: [`cn=engines,ou=groups,${ROOT}`, GROUP],
    });
    // The search for groups is the service account's, not the user's.
    expect(directory.binds.map(({ dn }) => dn)).toEqual([SERVICE.dn, ADA, SERVICE.dn]);
    await expect.poll(() => directory.connections()).toBe(0);
  });

  it('takes the distinguished name for the subject, and reads no group without a base', async () => {
    const identity = await directoryWith().authenticate('grace', 'pässwörd ✓');
    expect(identity).toMatchObject({
      subject: `uid=grace,ou=people,${ROOT}`,
      groups: [],
      email: '',
    });
  });

  it('calls the user as the directory does, however the name was typed', async () => {
    const ldap = directoryWith({ userFilter: '(|(uid={username})(mail={username}))' });
    const identity = await ldap.authenticate('ada@example.org', 'correct horse');
    expect(identity).toMatchObject({ username: 'ada' });
  });

  it('searches anonymously without a service account', async () => {
    const { service: _, ...anonymous } = optionsFor();
    const ldap = createLdapDirectory(anonymous);
    expect(await ldap.authenticate('ada', 'correct horse')).toMatchObject({ username: 'ada' });
    expect(directory.binds.map(({ dn }) => dn)).toEqual([ADA]);
  });

  it('reads a subject that is bytes as hex', async () => {
    const ldap = directoryWith({ subjectAttribute: 'objectGUID', groupAttribute: 'none' });
    expect(await ldap.authenticate('ida', 'ida')).toMatchObject({ subject: 'c3a900ff' });
  });

  it('gives roles by distinguished name or by common name', async () => {
    const ldap = directoryWith({ groupBase: `ou=groups,${ROOT}` });
    const identity = (await ldap.authenticate('ada', 'correct horse'))!;
    const groups = { [`CN=operators, OU=groups,  ${ROOT}`]: ['operator'], Engines: ['builder'] };
    const mapping = { groups, defaultRoles: ['reader'], provision: true };
    expect(mapRoles(identity, mapping, 'ldap')).toEqual(['reader', 'operator', 'builder']);
    expect(mapRoles(identity, mapping, 'oidc')).toEqual(['reader']);
  });
});

describe('whom a directory refuses', () => {
  it('is a wrong password, after the same exchange as for an unknown name', async () => {
    const ldap = directoryWith();
    expect(await ldap.authenticate('ada', 'wrong')).toBeUndefined();
    const wrong = directory.binds.splice(0);
    expect(await ldap.authenticate('nobody', 'wrong')).toBeUndefined();
    const unknown = directory.binds.splice(0);
    expect(unknown).toHaveLength(wrong.length);
    expect(unknown.at(-1)).toMatchObject({ password: 'wrong' });
    expect(unknown.at(-1)?.dn).toMatch(new RegExp(`^cn=[0-9a-f-]{36},ou=people,${ROOT}$`));
  });

  it.each(['', '\0correct horse', 'x'.repeat(1025)])(
    'is a password that could bind as nobody, before anything is sent: %j',
    async (password) => {
      expect(await directoryWith().authenticate('ada', password)).toBeUndefined();
      expect(directory.binds).toEqual([]);
    },
  );

  it.each(['*', '*)(uid=*', 'ada)(|(uid=*', 'a*', 'ada\\', '\\61da', 'x)(!(uid=y'])(
    'is a name made to change the filter: %s',
    async (name) => {
      expect(await directoryWith().authenticate(name, 'correct horse')).toBeUndefined();
      expect(directory.filters).toHaveLength(1);
      expect(directory.filters[0]).toMatch(/^\(uid=[^()*]*\)$/);
    },
  );

  it('is not somebody whose name really has such characters', async () => {
    const identity = await directoryWith().authenticate('o(b)*', 'odd');
    expect(identity).toMatchObject({ username: 'o(b)*', displayName: "O'Brien (x)*" });
  });

  it('is a name that two entries have', async () => {
    expect(await directoryWith().authenticate('twin', 'twin')).toBeUndefined();
    expect(directory.binds.at(-1)?.dn).toMatch(/^cn=[0-9a-f-]{36},/);
  });

  it.each(['', '\0', '\ud800', 'x'.repeat(257)])('is a name that cannot be: %j', async (name) => {
    expect(await directoryWith().authenticate(name, 'correct horse')).toBeUndefined();
    expect(directory.binds).toEqual([]);
  });
});

describe('a directory that cannot be asked', () => {
  const unavailable = { reason: 'PROVIDER_UNAVAILABLE', metadata: { provider: 'office' } };

  it('does not accept the service account', async () => {
    const ldap = directoryWith({ service: { ...SERVICE, password: 'old' } });
    const failure = await ldap
      .authenticate('ada', 'correct horse')
      .catch((error: unknown) => error);
    expect(failure).toMatchObject(unavailable);
    expect(JSON.stringify(failure) + String((failure as Error).cause)).not.toContain('old');
    await expect.poll(() => directory.connections()).toBe(0);
  });

  it('is not there', async () => {
    const ldap = directoryWith({ url: 'ldap://127.0.0.1:1' });
    await expect(ldap.authenticate('ada', 'correct horse')).rejects.toMatchObject(unavailable);
  });

  it('accepts connections and says nothing', async () => {
    const mute = createServer().listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const url = `ldap://127.0.0.1:${(mute.address() as AddressInfo).port}`;
    for (const more of [{}, { startTls: true }]) {
      const ldap = directoryWith({ url, operationTimeoutMs: 50, ...more });
      await expect(ldap.authenticate('ada', 'correct horse')).rejects.toMatchObject(unavailable);
    }
    mute.close();
  });

  it('never stops sending', async () => {
    // One answer of two gigabytes: the library would wait for its end.
    const flood = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]));
      Readable.from(endless()).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(flood, 'listening');
    const url = `ldap://127.0.0.1:${(flood.address() as AddressInfo).port}`;
    const ldap = directoryWith({ url });
    await expect(ldap.authenticate('ada', 'correct horse')).rejects.toMatchObject({
      ...unavailable,
      cause: { message: expect.stringContaining('more than 4194304 bytes') },
    });
    flood.close();
  });

  it('has no such base, or entries without what names them', async () => {
    for (const more of [{ userBase: 'dc=elsewhere' }, { subjectAttribute: 'objectGUID' }]) {
      const signingIn = directoryWith(more).authenticate('ada', 'correct horse');
      await expect(signingIn).rejects.toMatchObject(unavailable);
    }
  });

  it('lists more groups than anybody should have', async () => {
    for (const name of ['many', 'ida']) {
      const signingIn = directoryWith().authenticate(name, name);
      await expect(signingIn).rejects.toMatchObject(unavailable);
    }
  });

  it('is asked by sixteen at once, sixty-four more wait, and the next is refused', async () => {
    const ldap = directoryWith();
    directory.hold(true);
    const all = Array.from({ length: 80 }, () => ldap.authenticate('ada', 'correct horse'));
    await expect.poll(() => directory.filters.length).toBe(16);
    await expect(ldap.authenticate('ada', 'correct horse')).rejects.toMatchObject({
      reason: 'RATE_LIMITED',
    });
    directory.hold(false);
    const identities = await Promise.all(all);
    expect(identities.every((identity) => identity?.username === 'ada')).toBe(true);
  });

  it('is left when the caller goes, waiting or talking', async () => {
    const ldap = directoryWith();
    directory.hold(true);
    const leaving = new AbortController();
    const all = Array.from({ length: 17 }, () =>
      ldap.authenticate('ada', 'correct horse', leaving.signal),
    );
    const settled = Promise.allSettled(all);
    await expect.poll(() => directory.filters.length).toBe(16);
    leaving.abort();
    for (const one of await settled) {
      expect(one).toMatchObject({ status: 'rejected', reason: { reason: 'CANCELED' } });
    }
    directory.hold(false);
    await expect.poll(() => directory.connections()).toBe(0);
    expect(await ldap.authenticate('ada', 'correct horse')).toMatchObject({ username: 'ada' });
  });
});

describe('a directory behind TLS', () => {
  let secure: Directory;
  beforeAll(async () => {
    secure = await startDirectory(ENTRIES, { tls: true });
  });
  afterAll(async () => {
    await secure[Symbol.asyncDispose]();
  });

  it('is asked when its certificate is trusted, and sent nothing when it is not', async () => {
    const url = `ldaps://localhost:${secure.port}`;
    const trusting = directoryWith({ url, caPem: certificate });
    expect(await trusting.authenticate('ada', 'correct horse')).toMatchObject({ issuer: url });
    secure.binds.length = 0;
    await expect(directoryWith({ url }).authenticate('ada', 'correct horse')).rejects.toMatchObject(
      {
        reason: 'PROVIDER_UNAVAILABLE',
        cause: { message: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT') },
      },
    );
    expect(secure.binds).toEqual([]);
  });

  it('is not asked when its certificate is for another host', async () => {
    // The same machine by another name, which the certificate does not have.
    const url = `ldaps://127.1:${secure.port}`;
    const other = directoryWith({ url, caPem: certificate });
    secure.binds.length = 0;
    await expect(other.authenticate('ada', 'correct horse')).rejects.toMatchObject({
      reason: 'PROVIDER_UNAVAILABLE',
      cause: { message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID') },
    });
    expect(secure.binds).toEqual([]);
  });

  it('is sent nothing but the request for TLS in clear', async () => {
    await using front = await startTlsFront(directory.port);
    const options = { url: `ldap://localhost:${front.port}`, startTls: true };
    const trusting = directoryWith({ ...options, caPem: certificate });
    expect(await trusting.authenticate('ada', 'correct horse')).toMatchObject({ username: 'ada' });
    const untrusting = directoryWith(options);
    directory.binds.length = 0;
    await expect(untrusting.authenticate('ada', 'correct horse')).rejects.toMatchObject({
      reason: 'PROVIDER_UNAVAILABLE',
    });
    expect(directory.binds).toEqual([]);
    expect(Buffer.concat(front.clear).toString('latin1')).not.toMatch(/horse|secret/);
  });

  it('is not answered for by bytes slipped in before TLS', async () => {
    // An answer to the user's bind that is whole only with what follows: it would swallow the true ones.
    const injected = Buffer.from([0x30, 0x81, 0xff, 0x02, 0x01, 0x02, 0x61]);
    await using front = await startTlsFront(directory.port, { injected });
    const url = `ldap://localhost:${front.port}`;
    const ldap = directoryWith({ url, startTls: true, caPem: certificate });
    const [wrong, right] = await Promise.allSettled([
      ldap.authenticate('ada', 'wrong'),
      ldap.authenticate('ada', 'correct horse'),
    ]);
    expect(wrong).toMatchObject({ value: undefined });
    expect(right).toMatchObject({ value: { username: 'ada' } });
  });
});

describe('the options of a directory', () => {
  it.each([
    [{ url: 'ldap://ldap.example.org' }, 'unencrypted'],
    [{ url: 'http://ldap.example.org' }, 'URL'],
    [{ url: 'nonsense' }, 'URL'],
    [{ url: 'ldaps://ldap.example.org', startTls: true }, 'both'],
    [{ userFilter: '(uid=ada)' }, '{username}'],
    [{ userFilter: '(uid={username}' }, 'RFC 4515'],
    [{ groupFilter: '(member=x)' }, '{dn}'],
    [{ service: { dn: SERVICE.dn, password: '' } }, 'password'],
  ])('refuse %j', (more, words) => {
    expect(() => directoryWith(more)).toThrow(words);
  });

  it('take clear text on loopback, or where it is allowed', () => {
    for (const host of ['localhost', '127.8.9.1', '[::1]'])
      directoryWith({ url: `ldap://${host}` });
    directoryWith({ url: 'ldap://ldap.example.org', allowCleartext: true });
    directoryWith({ url: 'ldap://ldap.example.org', startTls: true });
  });
});
