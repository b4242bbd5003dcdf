import { setTimeout as wait } from 'node:timers/promises';

import type { BeginDeviceSignOnResponse, Principal } from '../../gen/molten/v1/auth_pb.ts';
import type { MoltenClient } from '../../src/client/client.ts';
import { usageError } from './input.ts';
import { readCode, type AnyFlags } from './secrets.ts';
import { durationOf } from './times.ts';

/** What a sign-in ends with. */
export interface SignedIn {
  readonly token: string;
  readonly principal?: Principal | undefined;
}

/** What the first step of a sign-in gives: a token, or a challenge that wants a code. */
export interface FirstStep extends SignedIn {
  readonly challenge: string;
}

const POLL_SECONDS = 5;

/** Answers the challenge of a first step, if it is one, with a code that flags or a prompt give. */
export async function finishSignIn(
  { auth }: Pick<MoltenClient, 'auth'>,
  first: FirstStep,
  flags: AnyFlags,
): Promise<SignedIn> {
  const { challenge } = first;
  if (challenge === '') return first;
  const ttl = durationOf(flags['ttl']);
  const code = await readCode(flags);
  return await auth.answerChallenge({ challenge, code, ...(ttl && { ttl }) });
}

/** The provider to sign in through: the one that is named, or the only one. */
export async function providerFor(
  { auth }: Pick<MoltenClient, 'auth'>,
  named: string | undefined,
): Promise<string> {
  if (named !== undefined) return named;
  const { providers } = await auth.listSignOnProviders({});
  const [only] = providers;
  if (only !== undefined && providers.length === 1) return only;
  if (only === undefined) throw usageError('the server knows no provider to sign in through');
  throw usageError(`name the provider: molten login --sso <${providers.join('|')}>`);
}

/** Signs in on this device: shows address and code, and asks until the user has decided elsewhere. */
export async function signOnDevice(
  { auth }: Pick<MoltenClient, 'auth'>,
  provider: string,
  options: { readonly ttl: unknown; readonly show: (text: string) => void },
): Promise<FirstStep> {
  const begun = await auth.beginDeviceSignOn({ provider });
  options.show(`${instructionOf(begun)}\n`);
  const { signOn, interval } = begun;
  const ttl = durationOf(options.ttl);
  const waitMs = Math.max(1, Number(interval?.seconds ?? POLL_SECONDS)) * 1000;
  for (;;) {
    const { login } = await auth.pollDeviceSignOn({ signOn, ...(ttl && { ttl }) });
    if (login !== undefined) return login;
    await wait(waitMs);
  }
}

function instructionOf(begun: BeginDeviceSignOnResponse): string {
  const { userCode, verificationUri, verificationUriComplete } = begun;
  const direct = verificationUriComplete === '' ? '' : `\nor open ${verificationUriComplete}`;
  return `open ${verificationUri} and give the code ${userCode}${direct}`;
}
