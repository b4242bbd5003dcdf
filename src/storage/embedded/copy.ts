import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { hashFile, syncDirectory, syncFile } from '../../platform/files.ts';
import type { StoreCopy, StoreFile } from '../engine.ts';
import { toSequence } from '../types.ts';
import type { CopyReply, CopySettings } from './copy-worker.ts';
import { KEYRING_FILES } from './keyring.ts';
import type { StoreAccess } from './protocol.ts';
import { toError } from '../commit/operations.ts';
import { STORE_FILE } from './store-file.ts';
import { startWorker } from './worker.ts';

/** What is copied. */
export interface CopySource {
  readonly access: StoreAccess;
  readonly state: { readonly durableSequence: number };
  /** Puts on stable storage what is not there yet. */
  readonly flush: () => Promise<unknown>;
}

/**
 * Copies the store into a new directory in a thread of its own while writes go on, and reads the copy
 * back. The keyring goes along, so that the copy opens with the same password. What the copy ends with is put on
 * stable storage, so that no crash makes it a state that never was. Nothing stays of a copy that fails; CANCELED when
 * the signal aborts.
 */
export async function copyStore(
  { access, state, flush }: CopySource,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<StoreCopy> {
  await mkdir(directory, { mode: 0o700 });
  try {
    await copyKeyring(dirname(access.file), directory);
    const content = await copyFileOnline(
      { ...access, target: join(directory, STORE_FILE) },
      signal,
    );
    const files = await listFiles(directory, signal);
    await syncDirectory(directory);
    const sequence = toSequence(content.sequence);
    if (state.durableSequence < sequence) await flush();
    if (state.durableSequence < sequence) throw notDurable();
    return { ...content, sequence, files };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

function notDurable(): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    'the store could not be written to disk to its end, and a copy may not go beyond that; see what the server says of its disk',
  );
}

/** Copies the files of a keyring. */
export async function copyKeyring(from: string, to: string): Promise<void> {
  const names = new Set(await readdir(from));
  for (const name of KEYRING_FILES) {
    if (names.has(name)) await copyFile(join(from, name), join(to, name));
  }
}

/** Every file of a directory, flushed and hashed. */
export async function listFiles(
  directory: string,
  signal: AbortSignal | undefined,
): Promise<readonly StoreFile[]> {
  const files: StoreFile[] = [];
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name);
    await syncFile(path);
    files.push({ name, bytes: (await stat(path)).size, sha256: await hashFile(path, signal) });
  }
  return files;
}

function copyFileOnline(
  settings: CopySettings,
  signal: AbortSignal | undefined,
): Promise<Extract<CopyReply, { kind: 'done' }>['content']> {
  if (signal?.aborted === true) return Promise.reject(canceled());
  const worker = startWorker('copy-worker', settings);
  return new Promise<Extract<CopyReply, { kind: 'done' }>['content']>((resolve, reject) => {
    const onAbort = (): void => {
      reject(canceled());
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.once('message', (reply: CopyReply) => {
      if (reply.kind === 'done') resolve(reply.content);
      else reject(toError(reply.refusal));
    });
    worker.once('error', reject);
    worker.once('exit', () => {
      signal?.removeEventListener('abort', onAbort);
      reject(new DomainError('ENGINE_UNAVAILABLE', 'the thread that copies ended early'));
    });
  }).finally(() => worker.terminate());
}

function canceled(): DomainError {
  return new DomainError('CANCELED', 'the copy was canceled');
}
