/**
 * Trying what nobody would send. A few hundred cases of each property run with all other tests, each time
 * others; `MOLTEN_FUZZ=100000` tries that many. The seed is in the name of each test:
 * `MOLTEN_SEED=<seed>` tries the same again.
 */
import { expect, it } from 'vitest';

import fc, { type Arbitrary } from './fast-check.ts';
import { DomainError } from '../../src/errors/domain-error.ts';
import { REASONS } from '../../src/errors/reason.ts';
import { seedOfRun } from './random.ts';

const ASKED = Number(process.env['MOLTEN_FUZZ'] ?? 0);
/** A run that was asked for may take as long as it does. */
const LONG_MS = 24 * 3_600_000;

/** A property of everything that an arbitrary makes; `quick` cases unless more are asked for. */
export function fuzz<T>(
  name: string,
  { given, quick = 300 }: { readonly given: Arbitrary<T>; readonly quick?: number },
  property: (value: T) => void | Promise<void>,
): void {
  const numRuns = ASKED === 0 ? quick : ASKED;
  it(
    `${name} (seed ${String(seedOfRun())})`,
    async () => {
      const before = prototypes();
      const checked = fc.asyncProperty(given, async (value) => {
        await property(value);
        if (prototypes() !== before) throw new Error('a prototype was changed');
      });
      await fc.assert(checked, { numRuns });
    },
    ASKED === 0 ? undefined : LONG_MS,
  );
}

/** What everything inherits, by name. */
function prototypes(): string {
  return [Object.prototype, Array.prototype, String.prototype, Function.prototype]
    .map((one) => Reflect.ownKeys(one).map(String).join(' '))
    .join('\n');
}

/** Runs what may refuse, and nothing else: an error that is not in the catalogue fails the test. */
export function mayRefuse(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect(REASONS.filter((one) => one !== 'INTERNAL')).toContain((error as DomainError).reason);
  }
}

const POISON = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  '$',
  '.',
];
const NAMES = ['a', 'b.c', '0', '_key', '_v', 'length', 'è\u0000', '𝒳', 'x'.repeat(300)];

/** Names of members, likely to hurt. */
export function hostileNames(words: readonly string[] = []): Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words, ...NAMES) },
    { weight: 2, arbitrary: fc.constantFrom(...POISON) },
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
}

/** Texts of JSON whose objects have such members, also as their own `__proto__`. */
export function hostileJson(words: readonly string[] = []): Arbitrary<string> {
  const name = hostileNames(words);
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthIdentifier: 'json' },
      fc.constantFrom('null', 'true', '0', '-0', '1e308', '9007199254740993', '""', '[]', '{}'),
      name.map((text) => JSON.stringify(text)),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
      fc
        .array(fc.tuple(name, tie('value')), { maxLength: 4 })
        .map(
          (members) =>
            `{${members.map(([key, one]) => `${JSON.stringify(key)}:${one}`).join(',')}}`,
        ),
    ),
  }));
  return value;
}

/** A text with some of it cut out, doubled or replaced. */
export function mutated(text: Arbitrary<string>): Arbitrary<string> {
  const change = fc.tuple(fc.nat(), fc.nat(8), fc.string({ unit: 'binary', maxLength: 4 }));
  return fc.tuple(text, fc.array(change, { maxLength: 3 })).map(([whole, changes]) =>
    changes.reduce((current, [at, length, put]) => {
      const from = current.length === 0 ? 0 : at % current.length;
      return current.slice(0, from) + put + current.slice(from + length);
    }, whole),
  );
}
