import { DomainError } from '../../errors/domain-error.ts';
import { isGuessablePassword } from '../../platform/guessable-passwords.ts';

/**
 * What a password must be: OWASP ASVS 5 V6.2 and NIST SP 800-63B-4. Long enough, in no list of common
 * ones, and not made of what stands beside it. There are no rules of composition and no expiry.
 */
export interface PasswordPolicy {
  /** PASSWORD_WEAK, saying what is wrong and what would do. `context`: the name, the address, … */
  check(password: string, context: readonly string[]): void;
}

/** The longest password, in characters; nothing is cut off. */
export const PASSWORD_CHARS_MAX = 1024;

const PRODUCT_WORDS = ['moltendb', 'molten', 'password', 'passwort'];
const DISTINCT_CHARS_MIN = 5;
/** A word beside it that is shorter says nothing. */
const CONTEXT_CHARS_MIN = 4;
/** What must be left of a password without the words beside it. */
const OWN_CHARS_MIN = 8;

/** Creates the policy; `charsMin` counts code points. */
export function createPasswordPolicy(charsMin: number): PasswordPolicy {
  return {
    check(password, context) {
      const length = countOf(password);
      if (length < charsMin) {
        throw weak(`has ${String(length)} characters; give at least ${String(charsMin)}`);
      }
      if (length > PASSWORD_CHARS_MAX) throw weak('is longer than 1,024 characters');
      if (new Set(password).size < DISTINCT_CHARS_MIN) {
        throw weak(`has fewer than ${String(DISTINCT_CHARS_MIN)} different characters`);
      }
      if (isGuessablePassword(password)) {
        throw weak('is in every list of common passwords; choose another one');
      }
      checkContext(password.normalize('NFKC').toLowerCase(), [...context, ...PRODUCT_WORDS]);
    },
  };
}

/** Code points, as NIST SP 800-63B-4 counts. */
function countOf(text: string): number {
  return Array.from(text).length;
}

function checkContext(folded: string, context: readonly string[]): void {
  const words = context
    .flatMap((text) => [text, ...text.split(/[^\p{L}\p{N}]+/u)])
    .map((word) => word.toLowerCase())
    .filter(({ length }) => length >= CONTEXT_CHARS_MIN);
  let rest = folded;
  for (const word of words.sort((a, b) => b.length - a.length)) rest = rest.replaceAll(word, '');
  if (rest === folded || rest.length >= OWN_CHARS_MIN) return;
  throw weak('is mostly your name or the name of this product; choose another one');
}

function weak(problem: string): DomainError {
  return new DomainError('PASSWORD_WEAK', `the password ${problem}`, {
    violations: [{ field: 'password', description: `the password ${problem}` }],
  });
}
