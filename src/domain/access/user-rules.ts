import { DomainError } from '../../errors/domain-error.ts';
import type { Accounts, StoredUser } from './accounts.ts';
import { reasonFor, type Principal } from './principal.ts';
import { parseScope } from './scope.ts';
import type { ScopeSet } from './scope-set.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}$/;
const TEXT_CHARS_MAX = 256;

/** The user behind a sign-in. SCOPE_MISSING for any other credential. */
export function selfOf(
  accounts: Accounts,
  credential: Principal['credential'],
): { readonly name: string; readonly user: StoredUser; readonly sessionId: string } {
  const { kind, user: name = '', impersonator, chain } = credential ?? {};
  const user = accounts.find(name);
  if (kind === 'session' && impersonator === '' && user !== undefined) {
    return { name, user, sessionId: chain?.sessionId ?? '' };
  }
  throw new DomainError(
    'SCOPE_MISSING',
    'only a user who has signed in may do this, with the token of the sign-in',
  );
}

/** SCOPE_MISSING unless the caller is an administrator from whom nothing is kept. */
export function demandEverything({ scopes }: Principal, what: string): void {
  if (scopes.isUnbounded) return;
  throw new DomainError(
    'SCOPE_MISSING',
    `${what} takes every document and every secret of the server along; it needs the scope *:*:*`,
    { metadata: { scope: '*:*:*' } },
  );
}

/** SCOPE_MISSING unless the caller may do all that is granted. */
export function demandOver(principal: Principal, granted: ScopeSet): void {
  const { scopes } = principal;
  if (scopes.isUnbounded || granted.isWithin(scopes)) return;
  const beyond = granted.texts.find((text) => !scopes.includes(parseScope(text))) ?? '';
  throw new DomainError(
    'SCOPE_MISSING',
    reasonFor(
      principal,
      `who does this must hold all the rights that it concerns${beyond === '' ? '' : `; yours lack ${beyond}`}`,
    ),
    { metadata: beyond === '' ? {} : { scope: beyond } },
  );
}

/** What is given of a change. */
export function withoutUndefined<T extends object>(
  change: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(change).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** ARGUMENT_INVALID unless a user may be called so. */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw argument(
    `'${name.slice(0, 64)}' is no user name: use 1 to 128 of A-Z a-z 0-9 _ . @ + -, the first a letter or digit`,
  );
}

/** ARGUMENT_INVALID for a display name or an address that is too long or malformed. */
export function checkTexts({
  displayName = '',
  email = '',
}: {
  readonly displayName?: string | undefined;
  readonly email?: string | undefined;
}): void {
  if (displayName.length > TEXT_CHARS_MAX) {
    throw argument('the display name is longer than 256 characters');
  }
  if (email !== '' && (email.length > TEXT_CHARS_MAX || !/^[^\s@]+@[^\s@]+$/.test(email))) {
    throw argument('the e-mail address is not of the form name@host, in 256 characters');
  }
}

/** ARGUMENT_INVALID. */
export function argument(message: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', message);
}

/** USER_EXISTS. */
export function userExists(name: string): DomainError {
  return new DomainError('USER_EXISTS', `the user '${name}' exists already`, {
    metadata: { user: name },
  });
}

/** ROLE_IN_USE. */
export function roleInUse(role: string, user: string, count: number): DomainError {
  return new DomainError(
    'ROLE_IN_USE',
    `the role '${role}' is held by ${String(count)} users, '${user}' among them; take it from them first`,
    { metadata: { role } },
  );
}
