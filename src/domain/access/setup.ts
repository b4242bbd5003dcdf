import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { isLoopback } from '../../platform/loopback.ts';
import { hashOf, isSame } from '../../platform/secrets.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { Accounts, StoredUser } from './accounts.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import { openRecords } from './records.ts';

/** The first start of a store without a configured password: one call gives the root user its own. */
export interface Setup {
  /** Nobody has completed it, and no user is an administrator. */
  isOpen(): boolean;
  /** SETUP_REQUIRED while it is open. */
  demandClosed(): void;
  /**
   * Makes the root user. SETUP_CLOSED when it was completed before; SCOPE_MISSING for a caller from
   * elsewhere without the token of the configuration; PASSWORD_WEAK.
   */
  complete(request: SetupRequest): Promise<void>;
}

/** Who completes the set-up. */
export interface SetupRequest {
  readonly password: string;
  /** Empty: none. */
  readonly token: string;
  /** The peer's address. */
  readonly address: string;
  /** It came straight from a program: through no proxy, and from no page. */
  readonly isDirect: boolean;
}

/** What the set-up needs. */
export interface SetupParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly rootUser: string;
  readonly setupToken: string | undefined;
}

const COLLECTION = '$setup';
const DONE = 'completed';

/** Opens the set-up of a store. A store with an administrator has had it. */
export async function openSetup(parts: SetupParts): Promise<Setup> {
  const { engine, clock, accounts, passwords, policy, rootUser, setupToken } = parts;
  const records = await openRecords<{ readonly completedAtMs: number }>({
    ...{ engine, collection: COLLECTION, recordsMax: 1 },
  });
  const isAdministered = [...accounts.records.entries()].some(
    ([, user]) => accounts.grantedTo(user).isAdmin,
  );
  let isDone = records.get(DONE) !== undefined;
  if (!isDone && isAdministered) {
    await records.change(DONE, () => ({ completedAtMs: clock.now() }));
    isDone = true;
  }
  // Another node may have completed it.
  const isOpen = (): boolean => !isDone && records.get(DONE) === undefined;
  return {
    isOpen,
    demandClosed() {
      if (!isOpen()) return;
      throw new DomainError(
        'SETUP_REQUIRED',
        'there is no administrator yet: complete the set-up with `molten setup` on the machine of the server',
      );
    },
    async complete({ password, token, address, isDirect }) {
      if (!isOpen()) throw closed();
      const isNear = isLoopback(address) && isDirect;
      if (!isNear && !isToken(token, setupToken)) throw tooFar();
      policy.check(password, [rootUser]);
      const passwordHash = await passwords.hash(password);
      const user: StoredUser = {
        ...{ id: randomUUID(), roles: ['admin'], scopes: [], state: 'active', identities: [] },
        ...{ displayName: '', email: '', createdAtMs: clock.now(), passwordHash },
      };
      await accounts.inTurn(async () => {
        // Of two who come at once, one closes it; a crash before that leaves it open for another try.
        const [done] = await engine.get(COLLECTION, [DONE]);
        if (!isOpen() || done !== undefined) throw closed();
        await accounts.records.change(rootUser, () => user);
        await records.change(DONE, () => ({ completedAtMs: clock.now() }));
        isDone = true;
      });
    },
  };
}

/** Hashes are compared, so that not even the length is told. */
function isToken(token: string, expected: string | undefined): boolean {
  return expected !== undefined && isSame(hashOf(token), hashOf(expected));
}

function closed(): DomainError {
  return new DomainError('SETUP_CLOSED', 'the set-up was completed; log in instead');
}

function tooFar(): DomainError {
  return new DomainError(
    'SCOPE_MISSING',
    'the set-up is completed on the machine of the server, or with its --setup-token',
  );
}
