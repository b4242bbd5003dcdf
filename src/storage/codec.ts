/**
 * The form of log entries outside of a store: sealed segments. A segment is a line of JSON about it, then
 * its entries, one JSON object a line, compressed, and encrypted when the store is. Each names the hash of
 * the one before it, so that a chain of files proves its own completeness. Every changed bit is found.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';

import { DomainError } from '../errors/domain-error.ts';
import { toSequence, toVersion, type LogEntry, type Sequence } from './types.ts';

/** What a segment says of itself. */
export interface SegmentHeader {
  readonly format: typeof FORMAT;
  /** The timeline of the log. */
  readonly epoch: string;
  readonly first: Sequence;
  readonly last: Sequence;
  /** Commit times of the first and the last entry, in Unix milliseconds. */
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
  readonly entries: number;
  /** The SHA-256 of the whole segment before it, in lower-case hex; empty for the first of a chain. */
  readonly previous: string;
  /** Base64; empty when it is not encrypted. */
  readonly nonce: string;
}

/** A segment, opened. */
export interface Segment {
  readonly header: SegmentHeader;
  readonly entries: readonly LogEntry[];
  /** The SHA-256 of the whole segment, for the one after it. */
  readonly sha256: string;
}

const FORMAT = 'moltendb-segment-1';
const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NEWLINE = 0x0a;

/** Seals entries, at least one. `key` has 32 bytes; undefined leaves them readable. */
export function sealSegment(
  entries: readonly LogEntry[],
  chain: {
    readonly epoch: string;
    readonly previous: string;
    readonly key: Uint8Array | undefined;
  },
): Buffer {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) throw new Error('a segment has entries');
  const { epoch, previous, key } = chain;
  const about = {
    ...{ format: FORMAT, epoch, first: String(first.sequence), last: String(last.sequence) },
    ...{ firstTimeMs: first.timestampMs, lastTimeMs: last.timestampMs, entries: entries.length },
    ...{ previous, nonce: key === undefined ? '' : randomBytes(NONCE_BYTES).toString('base64') },
  };
  const plain = gzipSync(entries.map((entry) => JSON.stringify(toRecord(entry))).join('\n'));
  const payload = key === undefined ? plain : encrypt(plain, key, about);
  const header = JSON.stringify({ ...about, payload: hashOf(payload) });
  return Buffer.concat([Buffer.from(`${header} ${hashOf(Buffer.from(header))}\n`), payload]);
}

/** Reads only the line about a segment. CORRUPTION_DETECTED when it is not as it was sealed. */
export function readSegmentHeader(bytes: Buffer, name: string): SegmentHeader {
  return splitSegment(bytes, name).header;
}

/** Opens a segment. CORRUPTION_DETECTED, naming it, when anything of it is not as it was sealed. */
export function openSegment(bytes: Buffer, name: string, key: Uint8Array | undefined): Segment {
  const { header, about, payload } = splitSegment(bytes, name);
  const isEncrypted = header.nonce !== '';
  if (isEncrypted && key === undefined) {
    throw new DomainError('ENGINE_UNAVAILABLE', `segment '${name}' is encrypted; give its key`, {
      metadata: { file: name },
    });
  }
  try {
    const plain = key === undefined || !isEncrypted ? payload : decrypt(payload, key, about);
    const lines = gunzipSync(plain).toString('utf8').split('\n');
    const entries = lines.map((line) => fromRecord(JSON.parse(line) as EntryRecord));
    if (!isDense(entries, header)) throw new Error('its entries are not those it names');
    return { header, entries, sha256: hashOf(bytes) };
  } catch (cause) {
    throw damaged(name, cause instanceof Error ? cause.message : String(cause));
  }
}

interface SplitSegment {
  readonly header: SegmentHeader;
  /** What the cipher authenticates. */
  readonly about: object;
  readonly payload: Buffer;
}

function splitSegment(bytes: Buffer, name: string): SplitSegment {
  const end = bytes.indexOf(NEWLINE);
  const line = bytes.subarray(0, Math.max(end, 0)).toString('utf8');
  const at = line.lastIndexOf(' ');
  const text = line.slice(0, at);
  if (at < 0 || hashOf(Buffer.from(text)) !== line.slice(at + 1)) {
    throw damaged(name, 'its first line is not as it was sealed');
  }
  const { payload: sha256, ...about } = JSON.parse(text) as Record<string, unknown>;
  const payload = bytes.subarray(end + 1);
  if (about['format'] !== FORMAT) throw damaged(name, 'its format is another one');
  if (hashOf(payload) !== sha256) throw damaged(name, 'its entries are not as they were sealed');
  // Its hash finds any change by accident; who wrote it, only the cipher proves.
  const header = about as unknown as SegmentHeader;
  const [first, last] = [toSequence(BigInt(header.first)), toSequence(BigInt(header.last))];
  return { header: { ...header, first, last }, about, payload };
}

function isDense(entries: readonly LogEntry[], header: SegmentHeader): boolean {
  return (
    entries.length === header.entries &&
    entries.every(({ sequence }, at) => sequence === header.first + BigInt(at)) &&
    entries.at(-1)?.sequence === header.last
  );
}

function encrypt(plain: Buffer, key: Uint8Array, about: { readonly nonce: string }): Buffer {
  const nonce = Buffer.from(about.nonce, 'base64');
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(JSON.stringify(about)), { plaintextLength: plain.length });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(payload: Buffer, key: Uint8Array, about: object): Buffer {
  const nonce = Buffer.from((about as { readonly nonce: string }).nonce, 'base64');
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  const length = payload.length - TAG_BYTES;
  decipher.setAAD(Buffer.from(JSON.stringify(about)), { plaintextLength: length });
  decipher.setAuthTag(payload.subarray(length));
  return Buffer.concat([decipher.update(payload.subarray(0, length)), decipher.final()]);
}

/** The SHA-256 of bytes, in lower-case hex; that of a whole segment is what the next one names. */
export function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An entry in JSON; 64-bit numbers as text. */
interface EntryRecord extends Omit<
  LogEntry,
  'sequence' | 'commit' | 'version' | 'previousSequence' | 'createdSequence' | 'previous'
> {
  readonly sequence: string;
  readonly commit: string;
  readonly version: string;
  readonly previousSequence: string;
  readonly createdSequence: string;
}

function toRecord({ previous: _previous, ...entry }: LogEntry): EntryRecord {
  return {
    ...entry,
    sequence: String(entry.sequence),
    commit: String(entry.commit),
    version: String(entry.version),
    previousSequence: String(entry.previousSequence),
    createdSequence: String(entry.createdSequence),
  };
}

function fromRecord(record: EntryRecord): LogEntry {
  return {
    ...record,
    sequence: toSequence(BigInt(record.sequence)),
    commit: toSequence(BigInt(record.commit)),
    version: toVersion(BigInt(record.version)),
    previousSequence: toSequence(BigInt(record.previousSequence)),
    createdSequence: toSequence(BigInt(record.createdSequence)),
  };
}

function damaged(name: string, problem: string): DomainError {
  return new DomainError('CORRUPTION_DETECTED', `segment '${name}' is damaged: ${problem}`, {
    metadata: { file: name },
  });
}
