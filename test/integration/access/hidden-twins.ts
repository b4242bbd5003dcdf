/** Random documents, and twins of them that differ in hidden values only. */

import fc from '../../support/fast-check.ts';
import { isArray, isObject } from '../../../src/storage/query/path.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';

const NAMES = ['a', 'b', 'c', '0'] as const;
const scalar = fc.constantFrom<Json[]>(null, true, 1, 2, 'x', 'y');

const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 3, noNullPrototype: true }),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
}));

/** A body of few names, so that paths often meet something. */
export const body: fc.Arbitrary<JsonObject> = fc.dictionary(fc.constantFrom(...NAMES), value, {
  ...{ minKeys: 1, maxKeys: 4, noNullPrototype: true },
});

/** A dotted path of those names. */
export const path: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('.'));

/**
 * The rule of hidden paths in another way than the server has it: numbers may stand between the names of
 * the hidden path, in front of it too.
 */
export function hidingPattern(fields: readonly string[]): RegExp {
  const patterns = fields.map((field) =>
    field
      .split('.')
      .map((name) => String.raw`(?:\d+\.)*${name}\.`)
      .join(''),
  );
  return new RegExp(`^(?:${patterns.join('|')})$`);
}

/** Replaces what is hidden by other values, or takes it away, as `choices` say. */
export function twinOf(
  original: JsonObject,
  hidden: RegExp,
  choices: readonly ('keep' | 'drop' | 'change')[],
): JsonObject {
  let turn = 0;
  const alter = (item: Json, isElement: boolean): Json | undefined => {
    const choice = choices[turn++ % choices.length];
    if (choice === 'keep') return item;
    if (choice === 'change') return `other ${String(turn)}`;
    return isElement ? null : undefined;
  };
  const copy = (item: Json, at: string): Json => {
    if (isArray(item)) {
      return item.map((one, index) => {
        const below = `${at}${String(index)}.`;
        return hidden.test(below) ? (alter(one, true) ?? null) : copy(one, below);
      });
    }
    if (!isObject(item)) return item;
    const members = Object.entries(item).flatMap(([name, one]): [string, Json][] => {
      const below = `${at}${name}.`;
      const changed = hidden.test(below) ? alter(one, false) : copy(one, below);
      return changed === undefined ? [] : [[name, changed]];
    });
    return Object.fromEntries(members);
  };
  return copy(original, '') as JsonObject;
}

/** What is hidden in a body: each hidden path with its value. */
export function hiddenIn(item: Json, hidden: RegExp, at = ''): readonly string[] {
  if (!isArray(item) && !isObject(item)) return [];
  return Object.entries(item).flatMap(([name, one]: [string, Json]) => {
    const below = `${at}${name}.`;
    return hidden.test(below) ? [JSON.stringify(one)] : hiddenIn(one, hidden, below);
  });
}
