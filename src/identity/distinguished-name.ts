/** One attribute of a part of a distinguished name, unescaped. */
interface NameAttribute {
  readonly type: string;
  readonly value: string;
}

/** A longer text is no distinguished name. */
const NAME_CHARS_MAX = 8192;

/**
 * One attribute and what ends it (RFC 4514), or the quoted value of RFC 2253. What follows a backslash is
 * two hex digits or no hex digit, so that no text can be read in two ways.
 */
const ATTRIBUTE =
  /\s*([a-z][\w-]*|\d+(?:\.\d+)*)\s*=(?:\s*"((?:[^"\\]|\\.)*)"\s*|((?:[^\\"+,;]|\\[\da-f]{2}|\\[^\da-f])*))([+,;]|$)/iy;
const ESCAPED = /((?:\\[\da-f]{2})+)|\\([^\da-f])/gi;

/**
 * A distinguished name in the one form in which equal names are equal texts: types and values in lower
 * case, white space trimmed and single, escapes only where they are needed, attributes of one part sorted.
 * Undefined when it is none.
 */
export function normalizeName(text: string): string | undefined {
  return parseName(text)
    ?.map((part) => part.map(write).sort().join('+'))
    .join(',');
}

/** The common name that a distinguished name begins with, normalized; undefined when it has none. */
export function commonNameOf(text: string): string | undefined {
  const [first = []] = parseName(text) ?? [];
  return first.length === 1 && first[0]?.type === 'cn' ? first[0].value : undefined;
}

/** A value as distinguished names are compared: without regard to case and to the amount of white space. */
export function normalizeValue(value: string): string {
  return value.normalize('NFC').replace(/\s+/g, ' ').trim().toLowerCase();
}

function parseName(text: string): NameAttribute[][] | undefined {
  if (text.length > NAME_CHARS_MAX) return undefined;
  const parts: NameAttribute[][] = [[]];
  const pattern = new RegExp(ATTRIBUTE);
  for (;;) {
    const [, type, quoted, plain, end] = pattern.exec(text) ?? [];
    if (type === undefined) return undefined;
    const value = normalizeValue(unescape(quoted ?? plain ?? ''));
    parts.at(-1)?.push({ type: type.toLowerCase(), value });
    if (end === '') return parts;
    if (end !== '+') parts.push([]);
  }
}

/** Hex pairs are bytes of UTF-8, and stand together. */
function unescape(text: string): string {
  return text.replace(ESCAPED, (_, hex: string | undefined, char: string) =>
    hex === undefined ? char : Buffer.from(hex.replaceAll('\\', ''), 'hex').toString('utf8'),
  );
}

function write({ type, value }: NameAttribute): string {
  return `${type}=${value.replace(/[\\,+;"=<>#]/g, '\\$&')}`;
}
