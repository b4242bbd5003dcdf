import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';

import { parseRecord } from './record.ts';

/** A file of records, one JSON object a line, open to be appended to. */
export interface SinkFile {
  /** The number of its last whole record; undefined when it has none. */
  readonly lastNumber: number | undefined;
  /** Appends lines; they are on disk when this resolves. */
  append(text: string): Promise<void>;
  /** The path names another file by now, or none: it was renamed away or removed. */
  isMoved(): Promise<boolean>;
  close(): Promise<void>;
}

/** Only the owner may read or write. */
const PRIVATE_MODE = 0o600;
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
/** Bytes of the end of a file in which its last record is looked for; a record is far shorter. */
const TAIL_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
/** What the line of every record begins with. */
const BEGIN = '{"number":';

/**
 * Opens a file of records, made when it is missing, and finds its last one. A line that a crash has cut
 * off is removed: its record is written again.
 */
export async function openSinkFile(path: string): Promise<SinkFile> {
  const file = await open(path, FLAGS, PRIVATE_MODE);
  try {
    // A pipe has no end to look at, and nothing to be made durable.
    const isRegular = (await file.stat()).isFile();
    const lastNumber = isRegular ? await findLast(file) : undefined;
    return {
      lastNumber,
      async append(text) {
        await file.appendFile(text);
        if (isRegular) await file.datasync();
      },
      isMoved: () => isMoved(file, path),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function findLast(file: FileHandle): Promise<number | undefined> {
  const { size } = await file.stat();
  const start = Math.max(size - TAIL_BYTES, 0);
  const buffer = Buffer.alloc(size - start);
  await file.read(buffer, 0, buffer.length, start);
  const end = buffer.lastIndexOf(NEWLINE) + 1;
  const torn = buffer.subarray(end).toString();
  if (torn !== '' && !isBeginOfRecord(torn)) {
    throw new Error('the file ends with something that is no audit record; name another file');
  }
  if (torn !== '') await file.truncate(start + end);
  const lines = buffer.subarray(0, end).toString().split('\n').reverse();
  for (const line of lines) {
    const record = parseRecord(line);
    if (record !== undefined) return record.number;
  }
  return undefined;
}

/** Only what is surely ours is ever removed from a file. */
function isBeginOfRecord(text: string): boolean {
  return text.startsWith(BEGIN) || BEGIN.startsWith(text);
}

async function isMoved(file: FileHandle, path: string): Promise<boolean> {
  const own = await file.stat();
  try {
    const { ino, dev } = await stat(path);
    return ino !== own.ino || dev !== own.dev;
  } catch {
    return true;
  }
}
