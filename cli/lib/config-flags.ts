import { Flags, type Interfaces } from '@oclif/core';

import { environment } from '../../src/config/environment.ts';
import type { Option } from '../../src/config/option.ts';
import { CONFIG_OPTION, formsOf, OPTIONS, variableOf } from '../../src/config/options.ts';
import type { FlagValues, Sources } from '../../src/config/values.ts';

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
    ...(type.kind === 'choice' ? { options: type.choices } : {}),
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

/** The configuration that a command line, the variables and `.env` in the working directory name. */
export function sourcesOf(flags: Readonly<Record<string, unknown>>): Sources {
  const own = Object.entries(flags).filter(([name]) => NAMES.includes(name));
  return {
    flags: Object.fromEntries(own) as FlagValues,
    ...{ environment: environment(), directory: process.cwd() },
  };
}
