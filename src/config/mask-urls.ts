/** What is shown in the place of a secret. */
export const MASK = '********';

/** The scheme of a URL, and what stands before its host. */
const BEFORE_HOST = /([a-z][a-z\d+.-]*:\/\/)([^\s/?#]*)@/gi;
const SECRET_PARAMETER = /([?&](?:pass\w*|pwd|\w*secret|\w*token|api[-_]?key)=)[^\s&#']+/gi;
/** A URL that is none, because its password holds what has to be escaped there. */
const UNREADABLE = /:\/\/.*@/gs;

/**
 * A text with stars for the password in each URL of it, and for parameters that are named like one. The user
 * of http and https goes as well: where it stands alone it is a token.
 */
export function maskUrls(text: string): string {
  return text
    .replace(BEFORE_HOST, (_, scheme: string, user: string) => {
      const [name = '', ...password] = user.split(':');
      if (/^https?:/i.test(scheme)) return `${scheme}${MASK}@`;
      return password.length === 0 ? `${scheme}${name}@` : `${scheme}${name}:${MASK}@`;
    })
    .replace(SECRET_PARAMETER, `$1${MASK}`);
}

/** The same for what should be one URL, and may be none. */
export function maskUrl(text: string): string {
  const isReadable = text.includes(',') || URL.canParse(text);
  return maskUrls(isReadable ? text : text.replace(UNREADABLE, `://${MASK}@`));
}
