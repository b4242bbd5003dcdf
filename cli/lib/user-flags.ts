import { Flags, type Interfaces } from '@oclif/core';

/** The flags of commands that make or change a user. */
export const userFlags: Interfaces.FlagInput = {
  role: Flags.string({ description: 'A role. May be given several times.', multiple: true }),
  scope: Flags.string({
    description: 'A scope besides, action:collection:key. May be given several times.',
    multiple: true,
  }),
  'display-name': Flags.string({ description: 'What people call the user.' }),
  email: Flags.string({ description: 'The address of the user; empty: none.' }),
};

/** The values of a flag that may be given several times. */
export function textsOf(flag: unknown): string[] {
  return Array.isArray(flag) ? flag.map(String) : [];
}

/** From now on these; undefined, when neither they nor none of them are asked for: as they are. */
export function listFrom(flag: unknown, isEmptied: unknown): { values: string[] } | undefined {
  if (isEmptied === true) return { values: [] };
  return flag === undefined ? undefined : { values: textsOf(flag) };
}
