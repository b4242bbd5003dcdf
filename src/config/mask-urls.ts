import type { Option, OptionType } from './option.ts';

/** What is shown in the place of a secret. */
export const MASK = '********';

/** From the scheme of a URL to the last `@`: a password that is not escaped may hold anything, spaces too. */
const BEFORE_HOST = /:\/\/.*(?:@|%40)/gs;
/** The same where the scheme was forgotten: `user:password@host`. */
const USER_AND_HOST = /:.*(?:@|%40)/s;
/**
 * A parameter of a URL that is named like a secret, or a word of a connection string of PostgreSQL. A `-` alone
 * is no value: so commands say that they read it from their input.
 */
const NAMED_SECRET =
  /\b(\w*(?:pass\w*|pwd|secret|token|key|sig)\s*=\s*)(?!-(?:\s|$))(?:'[^']*'|[^\s&#']+)/gi;
/** A URL that can hide no password: no `@` but behind a plain user, nothing that ends a host early. */
const PLAIN_URL = /^[a-z][a-z\d+.-]*:\/\/([\w.~-]+@)?(?:(?!%40)[^\s@#\\])+$/i;

/**
 * What is shown of the value of an option: all of it, or stars. Of an option that is one URL only what can hold
 * no password is shown, and stars for parameters that are not known to be harmless; of others everything in
 * which nothing looks like a password.
 */
export function shownValue(
  { type, isSecret }: Pick<Option, 'type' | 'isSecret'>,
  text: string,
): string {
  if (isSecret === true) return MASK;
  if (type.kind === 'url') return text === '' ? '' : shownUrl(type, text);
  return USER_AND_HOST.test(text) || maskUrls(text) !== text ? MASK : text;
}

type UrlType = Extract<OptionType, { readonly kind: 'url' }>;

function shownUrl({ schemes, parameters = [] }: UrlType, text: string): string {
  const url = URL.parse(text);
  if (url === null || url.hostname === '' || !schemes.includes(url.protocol)) return MASK;
  if (!PLAIN_URL.test(text)) return MASK;
  // The user of http and https is a token where it stands alone.
  if (url.username !== '' && /^https?:$/.test(url.protocol)) return MASK;
  const [address = ''] = text.split('?');
  if (address.search(NAMED_SECRET) !== -1) return MASK;
  const isHarmless = [...url.searchParams.keys()].every((name) => parameters.includes(name));
  return isHarmless ? text : `${address}?${MASK}`;
}

/**
 * A text, such as a fault, with stars for whatever in it may be the user and the password of a URL, and for
 * what is named like a secret. It rather hides too much.
 */
export function maskUrls(text: string): string {
  return text.replace(BEFORE_HOST, `://${MASK}@`).replace(NAMED_SECRET, `$1${MASK}`);
}
