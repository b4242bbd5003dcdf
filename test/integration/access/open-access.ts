import { createAccess, type Access } from '../../../src/domain/access/access.ts';
import type { PasswordCost } from '../../../src/domain/access/passwords.ts';
import type { Directory } from '../../../src/domain/access/sign-in.ts';
import type { SignOnProvider } from '../../../src/domain/access/single-sign-on.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { ROOT, testConfig } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

/** The room of access over an empty store of its own. */
export interface OpenAccess extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly engine: StorageEngine;
  readonly access: Access;
}

/** What a test changes. */
export interface OpenAccessParts {
  /** Stands between access and the store. */
  readonly front?: (engine: StorageEngine) => StorageEngine;
  readonly directories?: readonly Directory[];
  readonly providers?: readonly SignOnProvider[];
  readonly tokensPerUserMax?: number;
  /** Absent: as little as there may be. */
  readonly passwordCost?: PasswordCost;
}

/** Opens it; the store goes when the test ends. */
export async function openAccess({
  front = (engine) => engine,
  directories = [],
  providers = [],
  tokensPerUserMax = 1000,
  passwordCost = { memoryKibibytes: 1024, passes: 2, lanes: 1 },
}: OpenAccessParts = {}): Promise<OpenAccess> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine = await openEmbeddedStore({ directory: directory.path, clock });
  const { access: rules, jwtSecret, rootUser, rootPassword } = testConfig('');
  const access = await createAccess({
    ...{ engine: front(engine), clock, providers, directories: () => directories, passwordCost },
    rules: { ...rules, jwtSecret, rootUser, rootPassword, tokensPerUserMax },
    onSealClosed: () => undefined,
  });
  return {
    ...{ clock, engine, access },
    async [Symbol.asyncDispose]() {
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

/** Somebody signs in from an address. */
export const CONTEXT = { address: '192.0.2.1', client: 'test', ttlMs: 3_600_000 } as const;

/** The principal of the root user, signed in. */
export async function signInRoot({ access }: OpenAccess): ReturnType<typeof principalOf> {
  const result = await access.signIns.login(ROOT, CONTEXT);
  if (result.kind !== 'signedIn') throw new Error('the login was challenged');
  return await principalOf(access, result.access.token);
}

/** Whom a credential makes. */
export async function principalOf(
  { authenticator }: Access,
  text: string,
): ReturnType<Access['authenticator']['authenticate']> {
  return await authenticator.authenticate({ authorization: `Bearer ${text}`, apiKey: undefined });
}
