import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { hashFile, syncDirectory, syncFile } from '../../platform/files.ts';
import type { SnapshotFile } from '../engine.ts';
import { toSequence } from '../types.ts';
import type { StoreAccess } from './protocol.ts';
import { toError } from './refusal.ts';
import type { SnapshotReply, SnapshotSettings } from './snapshot-worker.ts';
import { startWorker } from './worker.ts';

const SEQUENCE_DIGITS = 16;

/**
 * Copies the store into `directory` in a thread of its own while writes go on, reads the copy back, and
 * gives it its name only then. A snapshot of the same sequence is replaced. Nothing stays of one that
 * fails; CANCELED when the signal aborts.
 */
export async function takeSnapshot(
  access: StoreAccess,
  options: { directory: string; name: string; signal: AbortSignal | undefined },
): Promise<SnapshotFile> {
  const { directory, signal } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = join(directory, `.${options.name}.partial`);
  await rm(temporary, { force: true });
  try {
    const sequence = await copy({ ...access, target: temporary }, signal);
    const sha256 = await hashFile(temporary);
    await syncFile(temporary);
    const file = `snapshot-${sequence.toString().padStart(SEQUENCE_DIGITS, '0')}.sqlite`;
    const path = join(directory, file);
    await rename(temporary, path);
    await syncDirectory(directory);
    const { size } = await stat(path);
    return { path, sequence: toSequence(sequence), bytes: size, sha256 };
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function copy(settings: SnapshotSettings, signal: AbortSignal | undefined): Promise<number> {
  if (signal?.aborted === true) return Promise.reject(canceled());
  const worker = startWorker('snapshot-worker', settings);
  return new Promise<number>((resolve, reject) => {
    const onAbort = (): void => {
      reject(canceled());
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.once('message', (reply: SnapshotReply) => {
      if (reply.kind === 'done') resolve(reply.sequence);
      else reject(toError(reply.refusal));
    });
    worker.once('error', reject);
    worker.once('exit', () => {
      signal?.removeEventListener('abort', onAbort);
      reject(new DomainError('ENGINE_UNAVAILABLE', 'the snapshot thread ended early'));
    });
  }).finally(() => worker.terminate());
}

function canceled(): DomainError {
  return new DomainError('CANCELED', 'the snapshot was canceled');
}
