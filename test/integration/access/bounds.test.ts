/** What access keeps within bounds, writes once, and ends first: through the domain, over a real store. */
import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { PASSWORD_COST } from '../../../src/domain/access/passwords.ts';
import type { Principal } from '../../../src/domain/access/principal.ts';
import { createRevocations } from '../../../src/domain/access/revocations.ts';
import type { Directory } from '../../../src/domain/access/sign-in.ts';
import type { SignOnProvider } from '../../../src/domain/access/single-sign-on.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { ROOT } from '../../support/server.ts';
import { CONTEXT, openAccess, principalOf, signInRoot, type OpenAccess } from './open-access.ts';

const DAY_MS = 24 * 3_600_000;

/** The same engine, but for these methods. */
function withMethods(engine: StorageEngine, own: Partial<StorageEngine>): StorageEngine {
  return new Proxy(engine, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name) as unknown;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

async function reasonOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'done';
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
}

async function delegateTo(
  { access }: OpenAccess,
  principal: Principal,
  clientId = 'a-client',
): Promise<string> {
  const request = { clientId, scopes: ['read:c:*'], ttlMs: undefined, callsPerMinute: 0 };
  return (await access.delegation.delegate(principal, request)).verified.links[0]?.tokenId ?? '';
}

const KEY = { owner: '', description: '', scopes: ['read:c:*'], environment: 'live' } as const;

describe('a revocation', () => {
  it('whose write failed is written when it is repeated, and held meanwhile', async () => {
    await using open = await openAccess();
    const { engine, clock } = open;
    let fails = true;
    const broken = withMethods(engine, {
      transact: async (options, body) => {
        if (fails) throw new Error('the disk is full');
        return await engine.transact(options, body);
      },
    });
    const revocations = await createRevocations(broken, clock);
    const revocation = { kind: 'grant', id: 'g', expiresAtMs: Infinity } as const;
    await expect(revocations.revoke(revocation)).rejects.toThrow('the disk is full');
    const link = { tokenId: '', grantId: 'g', clientId: '', signingKeyId: '', callsPerMinute: 0 };
    const chain = { links: [{ ...link, issuedAtMs: 0 }], sessionId: '', signInId: '', userId: '' };
    expect(revocations.isRevoked(chain)).toBe(true);
    fails = false;
    expect(await revocations.revoke(revocation)).toBe(false);
    expect((await createRevocations(engine, clock)).isRevoked(chain)).toBe(true);
  });

  it('holds before anything is counted', async () => {
    let isCounted = (): void => undefined;
    const counted = new Promise<void>((resolve) => {
      isCounted = resolve;
    });
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const pause = async (collection: string): Promise<void> => {
      if (collection !== '$sessions') return;
      isCounted();
      await held;
    };
    let isPaused = false;
    await using open = await openAccess({
      front: (engine) =>
        withMethods(engine, {
          async query(query, options) {
            if (isPaused) await pause(query.collection);
            return await engine.query(query, options);
          },
          async aggregate(aggregation, options) {
            if (isPaused) await pause(aggregation.collection);
            return await engine.aggregate(aggregation, options);
          },
        }),
    });
    const { authenticator, control } = open.access;
    const principal = await signInRoot(open);
    await signInRoot(open);
    isPaused = true;
    const revoking = control.revoke({ kind: 'all', id: '' });
    await counted;
    expect(authenticator.lapseOf(principal)).toBe('revoked');
    goOn();
    expect(await revoking).toMatchObject({ sessions: 2 });
    isPaused = false;
    expect(await control.preview({ kind: 'all', id: '' })).toMatchObject({ sessions: 0 });
  });
});

describe('API keys', () => {
  it('that have ended take no place, and are forgotten after thirty days', async () => {
    await using open = await openAccess();
    const { apiKeyControl, apiKeys } = open.access;
    const create = async (ttlMs: number | undefined): Promise<string> =>
      (await apiKeyControl.create(await signInRoot(open), { ...KEY, ttlMs })).apiKey.id;
    const principal = await signInRoot(open);
    const made = Array.from({ length: 1000 }, () =>
      apiKeyControl.create(principal, { ...KEY, ttlMs: 60_000 }),
    );
    const [first] = await Promise.all(made);
    expect(await reasonOf(create(undefined))).toBe('QUOTA_EXCEEDED');
    open.clock.advance(60_000);
    const live = await create(undefined);
    const endedId = first?.apiKey.id ?? '';
    expect(apiKeys.find(endedId)).toBeDefined();
    open.clock.advance(30 * DAY_MS);
    // A hundred at once, so that nobody waits for long.
    const before = apiKeys.list(undefined).length;
    await create(undefined);
    expect(apiKeys.list(undefined).length).toBe(before - 100 + 1);
    for (let at = 0; at < 9; at++) await create(undefined);
    expect(apiKeys.find(endedId)).toBeUndefined();
    expect(apiKeys.find(live)).toBeDefined();
    expect(apiKeys.list(undefined)).toHaveLength(11);
  });

  it('were used when a call was let in by them, and not when they were looked at', async () => {
    await using open = await openAccess();
    const { apiKeyControl, apiKeys, introspection } = open.access;
    const { apiKey, text } = await apiKeyControl.create(await signInRoot(open), {
      ...{ ...KEY, ttlMs: 120_000 },
    });
    expect(await introspection.look(text)).toMatchObject({ tokenId: apiKey.id });
    expect(apiKeys.find(apiKey.id)?.lastUsedAtMs).toBeUndefined();
    await principalOf(open.access, text);
    const usedAtMs = open.clock.now();
    expect(apiKeys.find(apiKey.id)?.lastUsedAtMs).toBe(usedAtMs);
    open.clock.advance(120_000);
    expect(await reasonOf(principalOf(open.access, text))).toBe('CREDENTIAL_EXPIRED');
    expect(apiKeys.find(apiKey.id)?.lastUsedAtMs).toBe(usedAtMs);
  });
});

describe('a wrong code of a second factor', () => {
  it('writes nothing and tells nobody', async () => {
    await using open = await openAccess();
    const { accounts, secondFactors } = open.access;
    const { secret } = await secondFactors.enrol('root');
    const quiet = async (attempt: Promise<unknown>): Promise<unknown> => {
      const before = [accounts.records.revision, (await open.engine.head()).sequence];
      const result = await attempt;
      expect([accounts.records.revision, (await open.engine.head()).sequence]).toEqual(before);
      return result;
    };
    expect(await quiet(secondFactors.confirm('root', 'none'))).toBeUndefined();
    const totp = new TOTP({ secret: Secret.fromBase32(secret) });
    const code = totp.generate({ timestamp: open.clock.now() });
    expect(await secondFactors.confirm('root', code)).toHaveLength(10);
    expect(await quiet(secondFactors.take('root', 'none'))).toBe(false);
    // The same code a second time.
    expect(await quiet(secondFactors.take('root', code))).toBe(false);
  });
});

describe('a page of delegations', () => {
  it('is read from where the one before ended', async () => {
    let read = 0;
    await using open = await openAccess({
      tokensPerUserMax: 5000,
      front: (engine) =>
        withMethods(engine, {
          async query(query, options) {
            const page = await engine.query(query, options);
            if (query.collection === '$tokenTree') read += page.documents.length;
            return page;
          },
        }),
    });
    const principal = await signInRoot(open);
    await Promise.all(Array.from({ length: 300 }, () => delegateTo(open, principal)));
    const seen = new Set<string>();
    let reads = 0;
    for (let after = ''; ;) {
      read = 0;
      const { control } = open.access;
      const page = await control.list(principal, { parentId: '', after, limit: 100 });
      reads = Math.max(reads, read);
      for (const { path } of page.grants) seen.add(path);
      if (page.next === undefined) break;
      after = page.next;
    }
    expect([seen.size, reads]).toEqual([300, 101]);
  });
});

describe('the tokens of one user', () => {
  it('are bounded, whoever of its tree makes them; revoked ones make room', async () => {
    await using open = await openAccess({ tokensPerUserMax: 3 });
    const principal = await signInRoot(open);
    const first = await delegateTo(open, principal);
    await delegateTo(open, principal);
    await delegateTo(open, principal);
    const refused = open.access.delegation.delegate(principal, {
      ...{ clientId: 'x', scopes: ['read:c:*'], ttlMs: undefined, callsPerMinute: 0 },
    });
    await expect(refused).rejects.toMatchObject({
      ...{ reason: 'QUOTA_EXCEEDED', retryAfterMs: 30_000 },
      message: expect.stringContaining('--max-tokens-per-user') as string,
    });
    await open.access.control.revokeToken(principal, first);
    open.clock.advance(30_000);
    await delegateTo(open, principal);
    expect(await reasonOf(delegateTo(open, principal))).toBe('QUOTA_EXCEEDED');
    // Until they can be renewed no longer.
    open.clock.advance(31 * DAY_MS);
    await delegateTo(open, await signInRoot(open));
  });
});

describe('a sign-on on another device', () => {
  it('lasts for as long as the provider says', async () => {
    let isDecided = false;
    const provider: SignOnProvider = {
      ...{ name: 'oidc', redirectUris: [] },
      begin: async () => ({ url: '', flow: '' }),
      finish: async () => await Promise.reject(new Error('not asked for')),
      beginDevice: async () => ({
        ...{ userCode: 'AB', verificationUri: 'https://x.example', verificationUriComplete: '' },
        ...{ intervalMs: 5000, expiresAtMs: open.clock.now() + 1_800_000, flow: 'a flow' },
      }),
      pollDevice: async (flow) =>
        isDecided && flow === 'a flow'
          ? {
              ...{ provider: 'oidc', issuer: 'https://x.example', subject: 's', username: 'ada' },
              ...{ displayName: '', email: '', roles: ['viewer'], whyNotProvisioned: undefined },
            }
          : undefined,
    };
    await using open = await openAccess({ providers: [provider] });
    const { singleSignOn } = open.access;
    const { signOn } = await singleSignOn.beginDevice('oidc');
    const late = await singleSignOn.beginDevice('oidc');
    open.clock.advance(1_799_999);
    expect(await singleSignOn.pollDevice(signOn, CONTEXT)).toBeUndefined();
    isDecided = true;
    expect(await singleSignOn.pollDevice(signOn, CONTEXT)).toMatchObject({ kind: 'signedIn' });
    expect(await reasonOf(singleSignOn.pollDevice(signOn, CONTEXT))).toBe('CREDENTIAL_EXPIRED');
    open.clock.advance(1);
    const over = singleSignOn.pollDevice(late.signOn, CONTEXT);
    expect(await reasonOf(over)).toBe('CREDENTIAL_EXPIRED');
  });
});

/** A directory that knows one user; what it was asked. */
function directoryOf(state: { isDown: boolean }): Directory & { readonly asked: string[] } {
  const asked: string[] = [];
  const exchange = async (): Promise<void> => {
    await Promise.resolve();
    if (state.isDown) throw new DomainError('PROVIDER_UNAVAILABLE', 'it cannot be reached');
  };
  return {
    asked,
    async authenticate(username) {
      asked.push(username);
      await exchange();
      return undefined;
    },
    async pretend() {
      asked.push('(nobody)');
      await exchange();
    },
  };
}

describe('while a directory is down', () => {
  it('no answer tells who has a password here, and guessing is as slow as ever', async () => {
    const state = { isDown: true };
    const directory = directoryOf(state);
    await using open = await openAccess({ directories: [directory] });
    const { signIns } = open.access;
    const tries = async (username: string): Promise<readonly string[]> => {
      const reasons: string[] = [];
      for (let at = 0; at < 6; at++) {
        const credentials = { username, password: 'wrong' };
        reasons.push(await reasonOf(signIns.login(credentials, { ...CONTEXT, address: '' })));
      }
      return reasons;
    };
    const ours = await tries('root');
    expect(ours).toEqual([...Array<string>(5).fill('PROVIDER_UNAVAILABLE'), 'RATE_LIMITED']);
    expect(await tries('nobody')).toEqual(ours);
    expect(directory.asked).toEqual([
      ...[...Array<string>(5).fill('(nobody)'), ...Array<string>(5).fill('nobody')],
    ]);
    open.clock.advance(DAY_MS);
    expect(await signIns.login(ROOT, CONTEXT)).toMatchObject({ kind: 'signedIn' });
    state.isDown = false;
    const credentials = { username: 'root', password: 'wrong' };
    expect(await reasonOf(signIns.login(credentials, CONTEXT))).toBe('CREDENTIAL_INVALID');
  });
});

describe('a flood of logins', () => {
  it('is refused at once, and keeps nobody out who was here before', async () => {
    await using open = await openAccess({ passwordCost: PASSWORD_COST });
    const { signIns, passwordLoad } = open.access;
    await signInRoot(open);
    const strangers = Array.from({ length: 100 }, (_, at) => {
      const credentials = { username: `nobody${String(at)}`, password: 'wrong' };
      return reasonOf(signIns.login(credentials, { ...CONTEXT, address: `10.0.0.${String(at)}` }));
    });
    while (passwordLoad().waiting < 64) await new Promise((resolve) => setImmediate(resolve));
    // In the middle of it: another place for another lane.
    expect(await signIns.login(ROOT, CONTEXT)).toMatchObject({ kind: 'signedIn' });
    const answers = await Promise.all(strangers);
    expect(new Set(answers)).toEqual(new Set(['CREDENTIAL_INVALID', 'RATE_LIMITED']));
  });

  it('of one name waits in two places, and no more', async () => {
    await using open = await openAccess();
    const logins = Array.from({ length: 10 }, () =>
      reasonOf(open.access.signIns.login({ ...ROOT, password: 'wrong' }, CONTEXT)),
    );
    const answers = await Promise.all(logins);
    expect(answers.filter((reason) => reason === 'CREDENTIAL_INVALID')).toHaveLength(3);
    expect(answers.filter((reason) => reason === 'RATE_LIMITED')).toHaveLength(7);
  });
});
