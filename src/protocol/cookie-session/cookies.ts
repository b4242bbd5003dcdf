import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';

/** The two cookies of a session: the token of every call, and what gives the next one. */
export type CookieKind = 'session' | 'refresh';

/**
 * Names by whether the browser came over TLS. The prefixes (RFC 6265bis section 4.1.3) keep other hosts
 * and pages without TLS from setting these cookies.
 */
const NAMES: Readonly<Record<CookieKind, { readonly secure: string; readonly plain: string }>> = {
  session: { secure: '__Host-molten-session', plain: 'molten-session' },
  refresh: { secure: '__Secure-molten-refresh', plain: 'molten-refresh' },
};

/** Where each is sent: the refresh token only to the routes that take it. */
const PATHS: Readonly<Record<CookieKind, string>> = { session: '/', refresh: '/session' };

/** Browsers drop a cookie whose name and value are longer, without a word. */
const COOKIE_BYTES_MAX = 4096;

/** A cookie that came with a request. */
export interface FoundCookie {
  readonly value: string;
  /** Set over TLS, and never by another host. */
  readonly isSecure: boolean;
}

/**
 * Finds a cookie of ours in a `cookie` header. CREDENTIAL_INVALID when there are two of its name, for
 * then another host has set one. Where `needsTls`, only one that was set over TLS counts.
 */
export function findCookie(
  header: string | undefined,
  kind: CookieKind,
  { needsTls }: { readonly needsTls: boolean },
): FoundCookie | undefined {
  if (header === undefined) return undefined;
  const { secure, plain } = NAMES[kind];
  const protectedOne = valueOf(header, secure);
  if (protectedOne !== undefined) return { value: protectedOne, isSecure: true };
  const value = needsTls ? undefined : valueOf(header, plain);
  return value === undefined ? undefined : { value, isSecure: false };
}

function valueOf(header: string, name: string): string | undefined {
  const values = header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  if (values.length > 1) {
    throw new DomainError('CREDENTIAL_INVALID', `there are two cookies ${name}; delete both`);
  }
  return values[0] === '' ? undefined : values[0];
}

/** A `set-cookie` header that keeps a value for so many seconds. */
export function setCookie(
  kind: CookieKind,
  value: string,
  { isSecure, seconds }: { readonly isSecure: boolean; readonly seconds: number },
): string {
  const name = isSecure ? NAMES[kind].secure : NAMES[kind].plain;
  const pair = `${name}=${value}`;
  invariant(pair.length <= COOKIE_BYTES_MAX, `the cookie ${name} is longer than browsers keep`);
  const attributes = `Path=${PATHS[kind]}; Max-Age=${String(seconds)}; HttpOnly; SameSite=Strict`;
  return `${pair}; ${attributes}${isSecure ? '; Secure' : ''}`;
}

/** The `set-cookie` headers that remove both cookies. */
export function clearCookies(isSecure: boolean): readonly string[] {
  return (['session', 'refresh'] as const).map((kind) =>
    setCookie(kind, '', { isSecure, seconds: 0 }),
  );
}
