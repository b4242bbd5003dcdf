import { Flags, type Interfaces } from '@oclif/core';

import { environment } from '../../src/config/environment.ts';
import type { Fault } from '../../src/config/faults.ts';
import type { Option } from '../../src/config/option.ts';
import { CONFIG_OPTION, formsOf, OPTIONS, variableOf } from '../../src/config/options.ts';
import { unknown, type FlagValues, type Sources } from '../../src/config/values.ts';

/** Where `--help` and the reference put the flags of a configuration. */
const HELP_GROUP = 'CONFIGURATION';

type AnyFlag = Interfaces.FlagInput[string];

function flagOf({ type, help, fallback, isSecret, formerName }: Option, name: string): AnyFlag {
  const shown = fallback === undefined || fallback === '' ? '' : ` [default: ${fallback}]`;
  const description = `${help}${isSecret === true ? '' : shown} [variable: ${variableOf(name)}]`;
  if (type.kind === 'switch')
    return Flags.boolean({ description, allowNo: true, helpGroup: HELP_GROUP });
  return Flags.string({
    ...{ description, helpGroup: HELP_GROUP },
    ...(formerName === undefined ? {} : { aliases: [formerName] }),
    // Not `options`: a wrong choice is told by the table of options, together with everything else.
    ...(type.kind === 'choice' ? { helpValue: type.choices.join('|') } : {}),
  });
}

/** A flag for each option of a server, and those for the file of a secret and its place in Vault. */
export const configFlags: Interfaces.FlagInput = Object.fromEntries(
  [...OPTIONS, CONFIG_OPTION].flatMap((option) => {
    const { name } = option;
    const others = formsOf(option).map((form) => {
      const help = form === `${name}-file` ? `A file that holds` : `<path>#<field> in Vault of`;
      const shown = { ...option, isSecret: false, help: `${help} --${name}.` };
      return [form, flagOf(shown, form)] as const;
    });
    return [[name, flagOf(option, name)] as const, ...others];
  }),
);

const NAMES = Object.keys(configFlags);

/** What a command line says. */
export interface ConfigLine {
  readonly flags: Readonly<Record<string, unknown>>;
  /** What of it no flag is known for. */
  readonly faults: readonly Fault[];
}

/**
 * Parses the line of a command that takes `configFlags`. Unknown flags and stray words are no failure of the
 * parser: they are told with the other faults of the configuration, by name alone, as a value may be a secret.
 */
export async function readLine(
  parse: () => Promise<{ readonly flags: ConfigLine['flags'] }>,
): Promise<ConfigLine> {
  try {
    return { flags: (await parse()).flags, faults: [] };
  } catch (error) {
    if (!isUnknown(error)) throw error;
    const { input, output } = error.parse;
    const known = Object.entries(input.flags).flatMap(([name, flag]) => formsOnLine(name, flag));
    const faults = (error.flags ?? [])
      .map(nameOf)
      .map((key) => ({ key, problem: unknown(key, known) }));
    return { flags: output.flags, faults: faults.length > 0 ? faults : [STRAY] };
  }
}

/** What is given as a flag, without its value: that of a short one may stand right behind its letter. */
function nameOf(given: string): string {
  return given.startsWith('--') ? given.replace(/=.*/s, '') : given.slice(0, 2);
}

const STRAY: Fault = {
  key: 'the command line',
  problem:
    'has a word that belongs to no flag; write --<name> <value>, or quote a value with spaces',
};

/** How the parser refuses what it does not know; all else it has parsed. */
interface UnknownOnLine {
  readonly flags?: readonly string[];
  readonly parse: {
    readonly input: { readonly flags: Interfaces.FlagInput };
    readonly output: { readonly flags: ConfigLine['flags'] };
  };
}

function isUnknown(error: unknown): error is UnknownOnLine {
  return error instanceof Error && 'parse' in error && ('flags' in error || 'args' in error);
}

function formsOnLine(name: string, flag: AnyFlag): readonly string[] {
  const names = [name, ...(flag.aliases ?? [])].map((one) => `--${one}`);
  return flag.type === 'boolean' && flag.allowNo ? [...names, `--no-${name}`] : names;
}

/** The configuration that a command line, the variables and `.env` in the working directory name. */
export function sourcesOf({ flags, faults }: ConfigLine): Sources {
  const own = Object.entries(flags).filter(([name]) => NAMES.includes(name));
  return {
    flags: Object.fromEntries(own) as FlagValues,
    ...{ environment: environment(), directory: process.cwd(), faults },
  };
}
