import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { createStatements, openConnection } from './database.ts';
import { readEnd } from './log-writer.ts';
import type { Refusal, StoreAccess } from './protocol.ts';
import { toRefusal } from './refusal.ts';

/** What a snapshot thread is started with. */
export interface SnapshotSettings extends StoreAccess {
  /** Where the copy goes; must not exist. */
  readonly target: string;
}

/** What it answers. */
export type SnapshotReply =
  | { readonly kind: 'done'; readonly sequence: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const port = parentPort;
invariant(port !== null, 'a snapshot runs in a worker thread');
// Set by snapshot.ts, the only place that starts this file.
const settings = workerData as SnapshotSettings;
port.postMessage(take());

function take(): SnapshotReply {
  try {
    const source = openConnection({ ...settings, access: 'read' });
    try {
      source.prepare('VACUUM INTO ?').run(settings.target);
    } finally {
      source.close();
    }
    return { kind: 'done', sequence: verify() };
  } catch (error) {
    return { kind: 'refused', refusal: toRefusal(error) };
  }
}

/** Reads every page of the copy with its key and returns the sequence it holds. */
function verify(): number {
  const copy = openConnection({ ...settings, file: settings.target, access: 'read' });
  try {
    const result = copy.pragma('integrity_check', { simple: true });
    invariant(result === 'ok', `the snapshot is damaged: ${String(result)}`);
    return readEnd(createStatements(copy)).sequence;
  } finally {
    copy.close();
  }
}
