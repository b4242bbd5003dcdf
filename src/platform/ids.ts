import { randomBytes } from 'node:crypto';

import type { Clock } from './clock.ts';

/** Makes time-ordered identifiers. */
export interface IdSource {
  /**
   * A UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, a 12-bit counter and 62 random
   * bits, so that identifiers of one source sort in the order they were made.
   */
  uuid(): string;
}

const COUNTER_MAX = 0xfff;

/** Creates a source whose identifiers are strictly increasing, even when the clock steps back. */
export function createIdSource(clock: Clock): IdSource {
  let lastMs = 0;
  let counter = 0;
  return {
    uuid() {
      const nowMs = clock.now();
      if (nowMs > lastMs) {
        lastMs = nowMs;
        counter = randomBytes(1).readUInt8(0);
      } else if (++counter > COUNTER_MAX) {
        lastMs += 1;
        counter = 0;
      }
      return formatUuid(lastMs, counter);
    },
  };
}

function formatUuid(ms: number, counter: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(ms, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  randomBytes(8).copy(bytes, 8);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}
