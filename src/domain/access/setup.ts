import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { Accounts } from './accounts.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import { openRecords } from './records.ts';

/** The first start of a store without a configured password: one call gives the root user its own. */
export interface Setup {
  /** Nobody has completed it, and there is no user. */
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
  /** It came through a proxy, so that the address is not the caller's. */
  readonly isForwarded: boolean;
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

const DONE = 'completed';

/** Opens the set-up of a store. A store with users has had it. */
export async function openSetup(parts: SetupParts): Promise<Setup> {
  const { engine, clock, accounts, passwords, policy, rootUser, setupToken } = parts;
  const records = await openRecords<{ readonly completedAtMs: number }>({
    ...{ engine, collection: '$setup', recordsMax: 1 },
  });
  const close = async (): Promise<void> => {
    await records.change(DONE, (known) => {
      if (known !== undefined) throw closed();
      return { completedAtMs: clock.now() };
    });
  };
  const isOpen = (): boolean => records.get(DONE) === undefined;
  if (isOpen() && accounts.records.size > 0) await close();
  return {
    isOpen,
    demandClosed() {
      if (!isOpen()) return;
      throw new DomainError(
        'SETUP_REQUIRED',
        'there is no administrator yet: complete the set-up with `molten setup` on the machine of the server',
      );
    },
    async complete({ password, token, address, isForwarded }) {
      if (!isOpen()) throw closed();
      const isNear = isLoopback(address) && !isForwarded;
      if (!isNear && !isSame(token, setupToken)) throw tooFar();
      await policy.check(password, [rootUser]);
      const passwordHash = await passwords.hash(password);
      // Of two who come at once, one closes it.
      await close();
      await accounts.records.change(rootUser, () => ({
        ...{ id: randomUUID(), roles: ['admin'], scopes: [], state: 'active', identities: [] },
        ...{ displayName: '', email: '', createdAtMs: clock.now(), passwordHash },
      }));
    },
  };
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

function isSame(token: string, expected: string | undefined): boolean {
  if (expected === undefined) return false;
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(token), hash(expected));
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
