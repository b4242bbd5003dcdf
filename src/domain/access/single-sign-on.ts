import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf, randomSecret } from '../../platform/secrets.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { LinkedUsers, VouchedIdentity } from './linked-users.ts';
import type { Sealer } from './sealer.ts';
import type { Challenged, SignedIn, SignInContext, SignIns } from './sign-in.ts';

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
/** In a browser; on another device as long as the provider says. */
const FLOW_MS = 15 * 60_000;
/** `mo_` and 32 random bytes: who lacks it cannot finish what somebody else began. */
const SIGN_ON = /^mo_[A-Za-z0-9_-]{43}$/;

/** Creates the single sign-on of a server. */
export function createSingleSignOn(parts: SingleSignOnParts): SingleSignOn {
  const { linkedUsers, signIns } = parts;
  const flows = createFlows(parts);

  function providerOf(name: string): SignOnProvider {
    const found = parts.providers.find((one) => one.name === name);
    if (found !== undefined) return found;
    const known = parts.providers.map((one) => `'${one.name}'`).join(', ') || 'none';
    throw new DomainError(
      'ARGUMENT_INVALID',
      `there is no provider '${name.slice(0, 64)}'; there is ${known}`,
    );
  }

  async function admit(
    identity: VouchedIdentity,
    context: SignInContext,
  ): Promise<SignedIn | Challenged> {
    const { name } = await linkedUsers.resolve(identity);
    return await signIns.admit(name, identity.provider, context);
  }

  return {
    providers: parts.providers.map(({ name }) => name),
    async begin(name, redirectUri) {
      const provider = providerOf(name);
      if (!provider.redirectUris.includes(redirectUri)) throw notAllowed(redirectUri);
      const { url, flow } = await provider.begin(redirectUri);
      return { url, signOn: await flows.keep({ provider: name, flow }) };
    },
    async finish(signOn, callbackUrl, context) {
      await parts.engine.catchUp();
      const { provider, flow } = await flows.take(signOn);
      return await admit(await providerOf(provider).finish(callbackUrl, flow), context);
    },
    async beginDevice(name) {
      const { flow, ...start } = await providerOf(name).beginDevice();
      return { ...start, signOn: await flows.keep({ provider: name, flow }, start.expiresAtMs) };
    },
    async pollDevice(signOn, context) {
      await parts.engine.catchUp();
      const { provider, flow } = await flows.look(signOn);
      const identity = await providerOf(provider).pollDevice(flow);
      if (identity === undefined) return undefined;
      await flows.take(signOn);
      return await admit(identity, context);
    },
  };
}

/** What is kept of sign-ons between two calls, under the hash of what the client shows. */
interface Flows {
  /** What the client is to show. */
  keep(flow: StoredFlow, expiresAtMs?: number): Promise<string>;
  /** CREDENTIAL_EXPIRED when nothing is kept. */
  look(signOn: string): Promise<StoredFlow>;
  /** The same, which is not kept any more, so that it is finished once. */
  take(signOn: string): Promise<StoredFlow>;
}

function createFlows({ engine, clock, sealer }: SingleSignOnParts): Flows {
  async function keep(
    { provider, flow }: StoredFlow,
    expiresAtMs: number = clock.now() + FLOW_MS,
  ): Promise<string> {
    const signOn = `mo_${randomSecret()}`;
    const stored: StoredFlow = { provider, flow: await sealer.seal(flow, PURPOSE) };
    await engine.transact({ durability: 'async' }, (transaction) => {
      const body = JSON.stringify(stored);
      transaction.put({ collection: COLLECTION, key: keyOf(signOn), body, expiresAtMs });
    });
    return signOn;
  }

  async function look(signOn: string): Promise<StoredFlow> {
    const [document] = SIGN_ON.test(signOn) ? await engine.get(COLLECTION, [keyOf(signOn)]) : [];
    const stored = document && (JSON.parse(document.body) as StoredFlow);
    const flow = stored && sealer.open(stored.flow, PURPOSE);
    if (stored === undefined || flow === undefined) throw hasEnded();
    return { ...stored, flow };
  }

  async function take(signOn: string): Promise<StoredFlow> {
    const kept = await look(signOn);
    const key = keyOf(signOn);
    const { value: isMine } = await engine.transact({ durability: 'async' }, async (writes) => {
      const [document] = await writes.get(COLLECTION, [key]);
      if (document !== undefined) writes.delete({ collection: COLLECTION, key });
      return document !== undefined;
    });
    if (!isMine) throw hasEnded();
    return kept;
  }

  return { keep, look, take };
}

function hasEnded(): DomainError {
  return new DomainError('CREDENTIAL_EXPIRED', 'the sign-on has ended; start again');
}

function keyOf(signOn: string): string {
  return hashOf(signOn, 'base64url');
}

function notAllowed(redirectUri: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `'${redirectUri.slice(0, 256)}' is not among the redirect addresses of the configuration`,
    { violations: [{ field: 'redirect_uri', description: 'is not among those configured' }] },
  );
}
