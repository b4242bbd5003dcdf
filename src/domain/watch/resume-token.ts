import { crc32 } from 'node:zlib';

import { DomainError } from '../../errors/domain-error.ts';
import { toSequence, type Position } from '../../storage/types.ts';

const FORMAT = 1;
const CHECKSUM_BYTES = 4;
const HEAD_BYTES = 9;

/**
 * A position of the log as opaque text: format, sequence, epoch and a checksum, in base64url. It names a
 * point and grants nothing.
 */
export function sealResumeToken({ epoch, sequence }: Position): string {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(FORMAT, 0);
  head.writeBigUInt64BE(sequence, 1);
  const body = Buffer.concat([head, Buffer.from(epoch, 'utf8')]);
  const checksum = Buffer.alloc(CHECKSUM_BYTES);
  checksum.writeUInt32BE(crc32(body), 0);
  return Buffer.concat([body, checksum]).toString('base64url');
}

/** ARGUMENT_INVALID for text that no watch has given out. */
export function openResumeToken(token: string): Position {
  const bytes = Buffer.from(token, 'base64url');
  const body = bytes.subarray(0, -CHECKSUM_BYTES);
  const isSound =
    bytes.length > HEAD_BYTES + CHECKSUM_BYTES &&
    bytes.toString('base64url') === token &&
    body.readUInt8(0) === FORMAT &&
    bytes.readUInt32BE(body.length) === crc32(body);
  if (!isSound) {
    throw new DomainError(
      'ARGUMENT_INVALID',
      'the resume token is not one that a watch gave out; send the last one unchanged, or start without',
      { metadata: { field: 'resumeToken' } },
    );
  }
  const sequence = toSequence(body.readBigUInt64BE(1));
  return { epoch: body.subarray(HEAD_BYTES).toString('utf8'), sequence };
}
