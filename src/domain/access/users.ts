import type { StorageEngine } from '../../storage/engine.ts';
import type { Passwords } from './passwords.ts';

/** The collection of users: the key is the name, the body holds the hash of the password. */
export const USERS = '$users';

/** A user as stored. */
export interface StoredUser {
  readonly name: string;
  readonly passwordHash: string;
  readonly scopes: readonly string[];
}

/** The user from the configuration. */
export interface RootUser {
  readonly name: string;
  readonly password: string;
}

/** Users and their passwords. */
export interface Users {
  /** The user when the password is right; as slow when there is no such user. */
  authenticate(name: string, password: string): Promise<StoredUser | undefined>;
}

const ADMINISTRATOR = ['*:*:*'];

/**
 * Opens the users of a store and makes the root user as configured: created at the first start, its hash
 * renewed when the configured password or the cost of hashing has changed.
 */
export async function createUsers(parts: {
  readonly engine: StorageEngine;
  readonly passwords: Passwords;
  readonly root: RootUser;
}): Promise<Users> {
  const { engine, passwords, root } = parts;

  async function find(name: string): Promise<StoredUser | undefined> {
    const [document] = await engine.get(USERS, [name]);
    // Written by `save` alone.
    return document && ({ ...JSON.parse(document.body), name } as StoredUser);
  }

  async function save(name: string, password: string, scopes: readonly string[]): Promise<void> {
    const body = JSON.stringify({ passwordHash: await passwords.hash(password), scopes });
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.put({ collection: USERS, key: name, body });
    });
  }

  const stored = await find(root.name);
  const isCurrent =
    stored !== undefined &&
    !passwords.isOutdated(stored.passwordHash) &&
    (await passwords.verify(stored.passwordHash, root.password));
  if (!isCurrent) await save(root.name, root.password, ADMINISTRATOR);

  return {
    async authenticate(name, password) {
      const user = await find(name);
      const isRight = await passwords.verify(user?.passwordHash, password);
      if (user === undefined || !isRight) return undefined;
      if (passwords.isOutdated(user.passwordHash)) await save(name, password, user.scopes);
      return user;
    },
  };
}
