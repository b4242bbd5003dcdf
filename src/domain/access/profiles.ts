import type { DomainError } from '../../errors/domain-error.ts';
import type { Accounts, StoredUser } from './accounts.ts';
import type { Lockouts } from './lockouts.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import type { Principal } from './principal.ts';
import { wrongCode, type SecondFactors } from './second-factor.ts';
import type { Sessions } from './sessions.ts';
import { wrongPassword } from './sign-in.ts';
import { checkTexts, selfOf, withoutUndefined } from './user-rules.ts';

/** What users do with themselves, with the token of their sign-in. */
export interface Profiles {
  /** CREDENTIAL_INVALID for a wrong old one, PASSWORD_WEAK for the new one. Ends the other sessions. */
  changePassword(principal: Principal, before: string, after: string): Promise<void>;
  /** CREDENTIAL_INVALID unless this is the caller's password, for what asks for it again. */
  demandPassword(principal: Principal, password: string): Promise<void>;
  /** Takes the first code of an offered device, and gives recovery codes. CREDENTIAL_INVALID. */
  confirmSecondFactor(principal: Principal, code: string): Promise<readonly string[]>;
  /** CREDENTIAL_INVALID unless this is a code of the caller's second factor. */
  demandCode(principal: Principal, code: string): Promise<void>;
  /** Takes a code. CREDENTIAL_INVALID. */
  removeSecondFactor(principal: Principal, code: string): Promise<void>;
  /** Undefined stays. */
  update(
    principal: Principal,
    change: { readonly displayName?: string | undefined; readonly email?: string | undefined },
  ): Promise<void>;
}

/** What profiles need. */
export interface ProfilesParts {
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly lockouts: Lockouts;
  readonly sessions: Sessions;
  readonly secondFactors: SecondFactors;
}

/** Creates the profiles of the users of a store. */
export function createProfiles(parts: ProfilesParts): Profiles {
  const { accounts, passwords, lockouts, sessions, secondFactors } = parts;

  /** Guessing is as slow here as at the login. */
  async function demand(
    username: string,
    check: () => Promise<boolean>,
    refusal: () => DomainError = wrongPassword,
  ): Promise<void> {
    const attempt = { username, address: '' };
    await lockouts.check(attempt);
    if (await check()) return;
    await lockouts.fail(attempt);
    throw refusal();
  }

  return {
    async changePassword({ credential }, before, after) {
      const { name, user, sessionId } = selfOf(accounts, credential);
      await demand(name, () => passwords.verify(user.passwordHash, before));
      await storePassword(parts, { name, user, password: after });
      await sessions.endAll(user.id, sessionId);
      await sessions.keep(sessionId, accounts.find(name)?.epoch ?? 0);
    },
    async demandPassword({ credential }, password) {
      const { name, user } = selfOf(accounts, credential);
      if (user.passwordHash === undefined) return;
      await demand(name, () => passwords.verify(user.passwordHash, password));
    },
    async confirmSecondFactor({ credential }, code) {
      const { name } = selfOf(accounts, credential);
      let codes: readonly string[] = [];
      await demand(
        name,
        async () => {
          codes = (await secondFactors.confirm(name, code)) ?? [];
          return codes.length > 0;
        },
        wrongCode,
      );
      return codes;
    },
    async demandCode({ credential }, code) {
      const { name } = selfOf(accounts, credential);
      await demand(name, () => secondFactors.take(name, code), wrongCode);
    },
    async removeSecondFactor({ credential }, code) {
      const { name, sessionId } = selfOf(accounts, credential);
      await demand(name, () => secondFactors.take(name, code), wrongCode);
      await secondFactors.remove(name);
      await sessions.keep(sessionId, accounts.find(name)?.epoch ?? 0);
    },
    async update({ credential }, change) {
      const { name } = selfOf(accounts, credential);
      checkTexts(change);
      await accounts.records.change(name, (current) => {
        return current && { ...current, ...withoutUndefined(change) };
      });
    },
  };
}

/** Gives a user another password. PASSWORD_WEAK. */
export async function storePassword(
  { accounts, passwords, policy }: Pick<ProfilesParts, 'accounts' | 'passwords' | 'policy'>,
  {
    name,
    user,
    password,
  }: { readonly name: string; readonly user: StoredUser; readonly password: string },
): Promise<void> {
  policy.check(password, [name, user.email, user.displayName]);
  const passwordHash = await passwords.hash(password);
  await accounts.records.change(name, (current) => {
    if (current?.id !== user.id) return current;
    return { ...current, passwordHash, epoch: (current.epoch ?? 0) + 1 };
  });
}
