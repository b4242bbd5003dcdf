import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { hashFile, writeFileDurably } from '../../platform/files.ts';
import type { StoreFile } from '../../storage/engine.ts';
import { toSequence, type Sequence } from '../../storage/types.ts';

/** What a snapshot says of itself. */
export interface Manifest {
  readonly format: 1;
  readonly name: string;
  readonly sequence: Sequence;
  /** The commit time of that sequence, in Unix milliseconds. */
  readonly timestampMs: number;
  /** When it was taken, in Unix milliseconds. */
  readonly createdAtMs: number;
  /** The timeline of the log it belongs to. */
  readonly epoch: string;
  readonly release: string;
  readonly isEncrypted: boolean;
  readonly cause: 'request' | 'schedule';
  readonly collections: number;
  readonly documents: number;
  readonly files: readonly StoreFile[];
  /** How the command after the snapshot ended; undefined when there is none, or not yet. */
  readonly hook: HookOutcome | undefined;
}

/** How a command after a snapshot ended. */
export interface HookOutcome {
  readonly command: string;
  /** Undefined when it did not start, or a signal ended it. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  readonly durationMs: number;
  /** Why it did not start; empty when it did. */
  readonly problem: string;
}

const FILE_NAME = 'manifest.json';

/** Writes the manifest of a directory, sealed by a hash over itself. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const content = { ...manifest, sequence: manifest.sequence.toString() };
  await writeFileDurably(join(directory, FILE_NAME), textOf(content));
}

/** CORRUPTION_DETECTED when it is missing, damaged, or of another format. */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, FILE_NAME);
  try {
    const text = await readFile(path, 'utf8');
    // Of this form when its seal fits, unless somebody sealed something else: `checkContent` looks.
    const { seal: _seal, ...content } = JSON.parse(text) as SealedManifest;
    if (text !== textOf(content)) throw new Error('its seal does not fit');
    checkContent(content);
    return { ...content, sequence: toSequence(BigInt(content.sequence)), hook: content.hook };
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'CORRUPTION_DETECTED',
      `'${path}' is not the manifest of a snapshot: ${problem}`,
      { metadata: { file: path }, cause },
    );
  }
}

/** Files of a snapshot, its manifest aside. */
export const FILES_MAX = 16;
const FILE = /^(?=.{1,64}$)[a-z][a-z0-9]*(?:[.-][a-z0-9]+){0,5}$/;
const STORE_FILE = 'moltendb.sqlite';
const SHA256 = /^[0-9a-f]{64}$/;
/** The end of the year 9999, the last moment that RFC 3339 can write. */
const TIME_MAX_MS = Date.UTC(10_000, 0) - 1;

function checkContent(content: Content): void {
  const format: unknown = content.format;
  const { sequence, timestampMs, createdAtMs, collections, documents, files } = content;
  const texts = [content.name, content.epoch, content.release];
  const isSound =
    format === 1 &&
    /^\d{1,16}$/.test(sequence) &&
    texts.every((one) => typeof one === 'string' && one.length <= 256) &&
    [timestampMs, createdAtMs].every((one) => isCount(one) && one <= TIME_MAX_MS) &&
    [collections, documents].every(isCount) &&
    Array.isArray(files) &&
    files.length <= FILES_MAX &&
    files.every(isFile) &&
    files.some(({ name }) => name === STORE_FILE) &&
    isHook(content.hook);
  if (!isSound) throw new Error('a value in it cannot be');
}

function isFile({ name, bytes, sha256 }: StoreFile): boolean {
  return isFileName(name) && isCount(bytes) && SHA256.test(sha256);
}

/** Reports whether a file of a snapshot may have this name. */
export function isFileName(name: string): boolean {
  return FILE.test(name);
}

function isHook(hook: Partial<HookOutcome> | undefined): boolean {
  if (hook === undefined) return true;
  const { command, exitCode, timedOut, durationMs, problem } = hook;
  const isExit =
    exitCode === undefined || (Number.isInteger(exitCode) && Math.abs(exitCode) < 2 ** 31);
  return (
    isExit &&
    typeof command === 'string' &&
    typeof problem === 'string' &&
    typeof timedOut === 'boolean' &&
    isCount(durationMs)
  );
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

type Content = Omit<Manifest, 'sequence'> & { readonly sequence: string };
type SealedManifest = Content & { readonly seal: string };

function textOf(content: Content): string {
  return `${JSON.stringify({ ...content, seal: sealOf(content) }, undefined, 2)}\n`;
}

function sealOf(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

/** How files are verified. */
export interface VerifyOptions {
  /** Told of each that is sound. */
  readonly onFile?: (file: StoreFile) => void;
  readonly signal?: AbortSignal;
}

/** CORRUPTION_DETECTED, naming the first file that is not as the manifest says; CANCELED on abort. */
export async function verifyFiles(
  directory: string,
  { files }: Pick<Manifest, 'files'>,
  { onFile, signal }: VerifyOptions = {},
): Promise<void> {
  for (const file of files) {
    const problem = await problemOf(directory, file, signal);
    if (problem !== undefined) throw damaged(join(directory, file.name), problem);
    onFile?.(file);
  }
}

/** Every file that is not as the manifest says, in words. */
export async function problemsOfFiles(
  directory: string,
  { files }: Pick<Manifest, 'files'>,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const file of files) {
    const problem = await problemOf(directory, file);
    if (problem !== undefined) found.push(`the file '${file.name}' ${problem}`);
  }
  return found;
}

async function problemOf(
  directory: string,
  { name, bytes, sha256 }: StoreFile,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const path = join(directory, name);
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  );
  if (size === undefined) return 'is missing';
  if (size !== bytes) return `has ${String(size)} bytes instead of ${String(bytes)}`;
  return (await hashFile(path, signal)) === sha256 ? undefined : 'has another content';
}

function damaged(path: string, problem: string): DomainError {
  return new DomainError('CORRUPTION_DETECTED', `'${path}' ${problem}; the snapshot is damaged`, {
    metadata: { file: path },
  });
}
