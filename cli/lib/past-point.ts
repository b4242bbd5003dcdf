import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { create } from '@bufbuild/protobuf';
import { Flags, type Interfaces } from '@oclif/core';

import { PastPointSchema, type PastPoint } from '../../gen/molten/v1/snapshots_pb.ts';
import { momentIn, usageError, wholeIn } from './input.ts';

/** The flags that name a point of the past. */
export const pastFlags: Interfaces.FlagInput = {
  'to-time': Flags.string({
    description: 'The moment: Unix milliseconds, or RFC 3339.',
    exclusive: ['to-sequence'],
  }),
  'to-sequence': Flags.string({ description: 'The sequence.', aliases: ['to-seq'] }),
};

/** The point that flags name. */
export function pointOf(flags: Readonly<Record<string, unknown>>): PastPoint {
  const { 'to-time': time, 'to-sequence': sequence } = flags;
  if (typeof time === 'string') {
    const value = timestampFromMs(momentIn(time, '--to-time'));
    return create(PastPointSchema, { point: { case: 'time', value } });
  }
  if (typeof sequence !== 'string') throw usageError('give --to-time or --to-sequence');
  const value = wholeIn(sequence, '--to-sequence');
  return create(PastPointSchema, { point: { case: 'sequence', value } });
}
