import { createHash, randomBytes } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { LinkedUsers, VouchedIdentity } from './linked-users.ts';
import type { Sealer } from './sealer.ts';
import {
  wrongPassword,
  type Challenged,
  type SignedIn,
  type SignInContext,
  type SignIns,
} from './sign-in.ts';

/** An identity provider as the domain sees it; what it keeps between two calls is its own, in JSON. */
export interface SignOnProvider {
  readonly name: string;
  /** Where browsers may be sent back to, exactly. */
  readonly redirectUris: readonly string[];
  begin(redirectUri: string): Promise<{ readonly url: string; readonly flow: string }>;
  finish(callbackUrl: string, flow: string): Promise<VouchedIdentity>;
  beginDevice(): Promise<DeviceStart & { readonly flow: string }>;
  /** Undefined while the user has not decided. */
  pollDevice(flow: string): Promise<VouchedIdentity | undefined>;
}

/** What a user of a device without a browser is told. */
export interface DeviceStart {
  readonly userCode: string;
  readonly verificationUri: string;
  /** With the code in it; empty: none. */
  readonly verificationUriComplete: string;
  readonly intervalMs: number;
  readonly expiresAtMs: number;
}

/** Signing in through somebody else (OpenID Connect). */
export interface SingleSignOn {
  readonly providers: readonly string[];
  /** Where to send the browser, and what to show when it comes back. ARGUMENT_INVALID. */
  begin(
    provider: string,
    redirectUri: string,
  ): Promise<{ readonly url: string; readonly signOn: string }>;
  /** CREDENTIAL_INVALID for an answer that is not one to this sign-on, and for a user nobody knows here. */
  finish(
    signOn: string,
    callbackUrl: string,
    context: SignInContext,
  ): Promise<SignedIn | Challenged>;
  beginDevice(provider: string): Promise<DeviceStart & { readonly signOn: string }>;
  /** Undefined while the user has not decided. */
  pollDevice(signOn: string, context: SignInContext): Promise<SignedIn | Challenged | undefined>;
}

/** What single sign-on needs. */
export interface SingleSignOnParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly sealer: Sealer;
  readonly providers: readonly SignOnProvider[];
  readonly linkedUsers: LinkedUsers;
  readonly signIns: SignIns;
}

interface StoredFlow {
  readonly provider: string;
  /** Sealed. */
  readonly flow: string;
}

const COLLECTION = '$signOns';
const PURPOSE = 'sign-on';
const FLOW_MS = 15 * 60_000;
/** `mo_` and 32 random bytes: who lacks it cannot finish what somebody else began. */
const SIGN_ON = /^mo_[A-Za-z0-9_-]{43}$/;

/** Creates the single sign-on of a server. */
export function createSingleSignOn(parts: SingleSignOnParts): SingleSignOn {
  const { engine, clock, sealer, linkedUsers, signIns } = parts;

  function providerOf(name: string): SignOnProvider {
    const found = parts.providers.find((one) => one.name === name);
    if (found !== undefined) return found;
    const known = parts.providers.map((one) => `'${one.name}'`).join(', ') || 'none';
    throw new DomainError(
      'ARGUMENT_INVALID',
      `there is no provider '${name.slice(0, 64)}'; there is ${known}`,
    );
  }

  async function keep(provider: string, flow: string): Promise<string> {
    const signOn = `mo_${randomBytes(32).toString('base64url')}`;
    const stored: StoredFlow = { provider, flow: sealer.seal(flow, PURPOSE) };
    await engine.transact({ durability: 'async' }, (transaction) => {
      const body = JSON.stringify(stored);
      const expiresAtMs = clock.now() + FLOW_MS;
      transaction.put({ collection: COLLECTION, key: keyOf(signOn), body, expiresAtMs });
    });
    return signOn;
  }

  /** What was kept; `isTaken` removes it, so that it is finished once. */
  async function find(signOn: string, isTaken: boolean): Promise<StoredFlow> {
    const key = keyOf(signOn);
    const { value } = await engine.transact({ durability: 'async' }, async (transaction) => {
      const [document] = SIGN_ON.test(signOn) ? await transaction.get(COLLECTION, [key]) : [];
      if (document !== undefined && isTaken) transaction.delete({ collection: COLLECTION, key });
      return { body: document?.body };
    });
    const stored = value.body === undefined ? undefined : (JSON.parse(value.body) as StoredFlow);
    const flow = stored && sealer.open(stored.flow, PURPOSE);
    if (stored === undefined || flow === undefined) {
      throw new DomainError('CREDENTIAL_EXPIRED', 'the sign-on has ended; start again');
    }
    return { ...stored, flow };
  }

  async function admit(
    identity: VouchedIdentity,
    context: SignInContext,
  ): Promise<SignedIn | Challenged> {
    const found = await linkedUsers.resolve(identity);
    if (found === undefined) throw wrongPassword();
    return await signIns.admit(found.name, identity.provider, context);
  }

  return {
    providers: parts.providers.map(({ name }) => name),
    async begin(name, redirectUri) {
      const provider = providerOf(name);
      if (!provider.redirectUris.includes(redirectUri)) throw notAllowed(redirectUri);
      const { url, flow } = await provider.begin(redirectUri);
      return { url, signOn: await keep(name, flow) };
    },
    async finish(signOn, callbackUrl, context) {
      const { provider, flow } = await find(signOn, true);
      return await admit(await providerOf(provider).finish(callbackUrl, flow), context);
    },
    async beginDevice(name) {
      const { flow, ...start } = await providerOf(name).beginDevice();
      return { ...start, signOn: await keep(name, flow) };
    },
    async pollDevice(signOn, context) {
      const { provider, flow } = await find(signOn, false);
      const identity = await providerOf(provider).pollDevice(flow);
      if (identity === undefined) return undefined;
      await find(signOn, true);
      return await admit(identity, context);
    },
  };
}

function keyOf(signOn: string): string {
  return createHash('sha256').update(signOn).digest('base64url');
}

function notAllowed(redirectUri: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `'${redirectUri.slice(0, 256)}' is not among the redirect addresses of the configuration`,
    { violations: [{ field: 'redirect_uri', description: 'is not among those configured' }] },
  );
}
