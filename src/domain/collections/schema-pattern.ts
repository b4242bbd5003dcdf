import { RE2JS } from 're2js';

import { PATTERN_CHARS_MAX, PATTERN_INSTRUCTIONS_MAX } from '../../storage/query/pattern.ts';

/** The patterns of one schema, in an engine whose searches take time linear in the text. */
export interface SchemaPatterns {
  /** What ajv calls where it would make a RegExp; all it uses of it is `test`. */
  readonly regExp: ((pattern: string) => RegExp) & { readonly code: string };
  /** What is wrong with a pattern; undefined: nothing. */
  readonly problemOf: (pattern: string) => string | undefined;
  /** The size of all patterns so far: the work for one character of text. */
  instructions(): number;
}

/** Creates the patterns of one schema. */
export function createSchemaPatterns(): SchemaPatterns {
  const compiled = new Map<string, RE2JS>();

  function compile(pattern: string): RE2JS {
    const found = compiled.get(pattern);
    if (found !== undefined) return found;
    const made = RE2JS.compile(RE2JS.translateRegExp(pattern));
    compiled.set(pattern, made);
    return made;
  }

  function regExp(pattern: string): RegExp {
    const made = compile(pattern);
    return { test: (text: string) => made.test(text) } as unknown as RegExp;
  }

  return {
    regExp: Object.assign(regExp, { code: 'linearRegExp' }),
    problemOf(pattern) {
      if (pattern.length > PATTERN_CHARS_MAX) {
        const got = String(pattern.length);
        return `is a pattern of ${got} characters; the limit is ${String(PATTERN_CHARS_MAX)}`;
      }
      try {
        const size = compile(pattern).programSize();
        if (size <= PATTERN_INSTRUCTIONS_MAX) return undefined;
        const limit = String(PATTERN_INSTRUCTIONS_MAX);
        return `compiles to ${String(size)} instructions; the limit is ${limit}: use fewer or smaller counted repeats`;
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        return `is not a pattern without look-around and back-references: ${problem}`;
      }
    },
    instructions: () => [...compiled.values()].reduce((sum, one) => sum + one.programSize(), 0),
  };
}
