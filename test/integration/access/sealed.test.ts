/** What the store keeps sealed with the secret of the configuration, when that is changed, wrong, and right again. */
import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { createAccess, type Access } from '../../../src/domain/access/access.ts';
import type { TokenAlgorithm } from '../../../src/domain/access/signing-keys.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { ROOT, testConfig } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { failureOf } from '../postgres/scene.ts';
import { CONTEXT, principalOf } from './open-access.ts';
import { PASSWORD } from './team.ts';

const STEP_MS = 30_000;

/** An empty store that servers with different secrets are started on. */
interface Store extends AsyncDisposable {
  /** With the secret of today, then those before it. */
  start(secrets: readonly string[], algorithm?: TokenAlgorithm): Promise<Started>;
  readonly clock: ManualClock;
}

interface Started {
  readonly access: Access;
  /** It said that something sealed stays closed. */
  readonly isClosed: boolean;
}

async function openStore(): Promise<Store> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine: StorageEngine = await openEmbeddedStore({ directory: directory.path, clock });
  const { access: rules, rootUser, rootPassword } = testConfig('');
  return {
    clock,
    async start([jwtSecret = '', ...previousJwtSecrets], tokenAlgorithm = 'HS256') {
      let isClosed = false;
      const access = await createAccess({
        ...{ engine, clock, passwordCost: { memoryKibibytes: 1024, passes: 2, lanes: 1 } },
        rules: {
          ...{ ...rules, rootUser, rootPassword },
          ...{ jwtSecret, previousJwtSecrets, tokenAlgorithm },
        },
        onSealClosed: () => {
          isClosed = true;
        },
      });
      return { access, isClosed };
    },
    async [Symbol.asyncDispose]() {
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

const secretOf = (n: number): string => `the secret number ${String(n)}, of thirty-two bytes`;

/** The key that a server with one secret signs with. */
async function signerOf(store: Store, n: number): Promise<string> {
  const { access } = await store.start([secretOf(n)], 'EdDSA');
  return access.signingKeys.current().key.id;
}

/** Enrols a second factor for a user; codes of it. */
async function enrol({ secondFactors }: Access, name: string, clock: ManualClock): Promise<TOTP> {
  const { secret } = await secondFactors.enrol(name);
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  await secondFactors.confirm(name, totp.generate({ timestamp: clock.now() }));
  return totp;
}

async function makeUser(access: Access, name: string): Promise<void> {
  const result = await access.signIns.login(ROOT, CONTEXT);
  if (result.kind !== 'signedIn') throw new Error('the login was challenged');
  const user = { name, password: PASSWORD, roles: [], scopes: [], displayName: '', email: '' };
  await access.users.create(await principalOf(access, result.access.token), user);
}

describe('what is sealed', () => {
  it('with a wrong secret is open beside what was sealed before, once both are given', async () => {
    await using store = await openStore();
    const { clock } = store;
    const [right, wrong] = [secretOf(0), secretOf(1)];
    const first = await store.start([right]);
    expect(first.isClosed).toBe(false);
    await makeUser(first.access, 'ada');
    const ofRoot = await enrol(first.access, ROOT.username, clock);
    const second = await store.start([wrong]);
    expect(second.isClosed).toBe(true);
    const ofAda = await enrol(second.access, 'ada', clock);

    expect((await store.start([right])).isClosed).toBe(true);
    // Then the one before is not needed any more.
    for (const secrets of [[wrong, right], [wrong]]) {
      const { access, isClosed } = await store.start(secrets);
      expect(isClosed).toBe(false);
      clock.advance(STEP_MS);
      for (const [name, totp] of [[ROOT.username, ofRoot] as const, ['ada', ofAda] as const]) {
        const code = totp.generate({ timestamp: clock.now() });
        expect([name, await access.secondFactors.take(name, code)]).toEqual([name, true]);
      }
    }
  });

  it('is never let go of, whatever secrets come after it', async () => {
    await using store = await openStore();
    const signers: string[] = [];
    for (let n = 0; n < 17; n++) signers.push(await signerOf(store, n));
    expect(new Set(signers).size).toBe(17);
    expect(await failureOf(signerOf(store, 17))).toMatch(
      /^QUOTA_EXCEEDED: the store keeps 17 keys .* opens one: start with a secret that was used before/,
    );
    for (const [n, signer] of signers.entries()) expect(await signerOf(store, n)).toBe(signer);
    const known = await store.start([secretOf(17), secretOf(3)], 'EdDSA');
    expect(known.access.signingKeys.current().key.id).toBe(signers[3]);
  });

  it('is all that keys are kept for: a wrong secret that seals nothing leaves none', async () => {
    await using store = await openStore();
    await store.start([secretOf(0)]);
    for (let n = 1; n < 30; n++) expect((await store.start([secretOf(n)])).isClosed).toBe(true);
    expect((await store.start([secretOf(0)])).isClosed).toBe(false);
  });

  it('stays open for two that began side by side with different secrets', async () => {
    await using store = await openStore();
    const both = [0, 1];
    const signers = await Promise.all(both.map((n) => signerOf(store, n)));
    expect(await Promise.all(both.map((n) => signerOf(store, n)))).toEqual(signers);
  });
});
