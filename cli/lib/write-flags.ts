import { create } from '@bufbuild/protobuf';
import { Flags, type Interfaces } from '@oclif/core';

import { PreconditionSchema, type Precondition } from '../../gen/molten/v1/documents_pb.ts';
import { wholeIn } from './input.ts';

/** The flags of commands that write one document. */
export const writeFlags: Interfaces.FlagInput = {
  'if-version': Flags.string({ description: 'Fail unless the document has this version.' }),
};

/** The precondition that flags ask for; none when they ask for nothing. */
export function preconditionOf(flags: Readonly<Record<string, unknown>>): {
  precondition?: Precondition;
} {
  const version = flags['if-version'];
  if (typeof version === 'string') {
    const condition = { case: 'version', value: wholeIn(version, '--if-version') } as const;
    return { precondition: create(PreconditionSchema, { condition }) };
  }
  if (flags['must-not-exist'] !== true) return {};
  const condition = { case: 'exists', value: false } as const;
  return { precondition: create(PreconditionSchema, { condition }) };
}
