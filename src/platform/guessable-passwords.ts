import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
let list: ReadonlySet<string> | undefined;

/**
 * Whether a password is one of 49,000 that are tried first, with digits and signs around it or not, or a
 * few characters over and over. The first call reads the list, in some tens of milliseconds.
 */
export function isGuessablePassword(password: string): boolean {
  const folded = password.normalize('NFKC').toLowerCase();
  // The file itself: the index of the package unpacks other lists as well.
  list ??= new Set(
    require('@zxcvbn-ts/language-common/dist/passwords.json.cjs') as readonly string[],
  );
  const known = list;
  return isRepetition(folded) || candidatesOf(folded).some((one) => known.has(one));
}

function isRepetition(text: string): boolean {
  return /^(.{1,5})\1+$/.test(text);
}

/** The password, and what is left of it without digits and signs around it. */
function candidatesOf(folded: string): readonly string[] {
  const bare = folded.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  // A short word in a long password is no common password.
  return bare.length * 2 > folded.length ? [folded, bare] : [folded];
}
