import { randomUUID } from 'node:crypto';

import type { Clock } from '../../platform/clock.ts';
import type { Accounts, StoredUser } from './accounts.ts';
import type { Passwords } from './passwords.ts';

/** The administrator from the configuration. */
export interface RootUser {
  readonly name: string;
  /** Undefined: nobody signs in as root until the set-up has given it one. */
  readonly password: string | undefined;
}

/**
 * Makes the root user at the first start, and takes over a password that is new in the configuration. One
 * that was changed by the user itself stays until then.
 */
export async function ensureRootUser(parts: {
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  readonly clock: Clock;
  readonly root: RootUser;
}): Promise<void> {
  const { accounts, passwords, clock, root } = parts;
  const { name, password } = root;
  if (password === undefined) return;
  const stored = accounts.find(name);
  const isTakenOver =
    stored?.configuredHash !== undefined &&
    (await passwords.verify(stored.configuredHash, password));
  if (isTakenOver) return;
  const passwordHash = await passwords.hash(password);
  const made: StoredUser = {
    ...{ id: randomUUID(), roles: ['admin'], scopes: [], state: 'active', identities: [] },
    ...{ displayName: '', email: '', createdAtMs: clock.now() },
  };
  await accounts.records.change(name, (current) => {
    // Stores of early builds know less of their users.
    const known = current?.state === undefined ? made : current;
    return { ...known, passwordHash, configuredHash: passwordHash };
  });
}
