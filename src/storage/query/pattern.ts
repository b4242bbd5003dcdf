import { RE2JS, RE2JSException } from 're2js';

import { DomainError } from '../../errors/domain-error.ts';

/** The longest pattern, in characters. */
export const PATTERN_CHARS_MAX = 1000;
/** The largest compiled pattern, in instructions; counted repeats multiply. */
export const PATTERN_INSTRUCTIONS_MAX = 2000;

/**
 * Compiles a pattern in RE2 syntax: no look-around, no back-references, and a search takes time linear
 * in the text. The test looks anywhere in the text, unless anchored by `^` and `$`.
 *
 * FILTER_INVALID, naming what is wrong, when the pattern or a flag is not understood, or a bound is
 * passed. `field` is the path of the clause for the message.
 */
export function compilePattern(
  pattern: string,
  flags: string,
  field: string,
): (text: string) => boolean {
  if (pattern.length > PATTERN_CHARS_MAX) {
    const got = String(pattern.length);
    throw refuse(field, `is ${got} characters; the limit is ${String(PATTERN_CHARS_MAX)}`);
  }
  const compiled = compile(pattern, flagBits(flags, field), field);
  const size = compiled.programSize();
  if (size > PATTERN_INSTRUCTIONS_MAX) {
    const limit = String(PATTERN_INSTRUCTIONS_MAX);
    const why = `compiles to ${String(size)} instructions; the limit is ${limit}`;
    throw refuse(field, `${why}: use fewer or smaller counted repeats`);
  }
  return (text) => compiled.test(text);
}

function compile(pattern: string, bits: number, field: string): RE2JS {
  try {
    return RE2JS.compile(pattern, bits);
  } catch (cause) {
    if (!(cause instanceof RE2JSException)) throw cause;
    throw refuse(field, `is not a pattern in RE2 syntax: ${cause.message}`);
  }
}

function flagBits(flags: string, field: string): number {
  let bits = 0;
  for (const flag of flags) {
    if (flag === 'i') bits |= RE2JS.CASE_INSENSITIVE;
    else if (flag === 'm') bits |= RE2JS.MULTILINE;
    else if (flag === 's') bits |= RE2JS.DOTALL;
    else throw refuse(field, `has the option '${flag}'; wants only i, m and s`);
  }
  return bits;
}

function refuse(field: string, problem: string): DomainError {
  const description = `the pattern ${problem}`;
  return new DomainError('FILTER_INVALID', `${field}: ${description}`, {
    metadata: { field },
    violations: [{ field, description }],
  });
}
