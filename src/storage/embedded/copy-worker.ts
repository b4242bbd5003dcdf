import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { readContent, type StoreContent } from './content.ts';
import { createStatements, openConnection } from './database.ts';
import type { Refusal } from '../commit/operations.ts';
import type { StoreAccess } from './protocol.ts';
import { toRefusal } from './refusal.ts';

/** What a thread that copies is started with. */
export interface CopySettings extends StoreAccess {
  /** Where the copy goes; must not exist. */
  readonly target: string;
}

/** What it answers. */
export type CopyReply =
  | { readonly kind: 'done'; readonly content: StoreContent }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const port = parentPort;
invariant(port !== null, 'a copy runs in a worker thread');
// Set by copy.ts, the only place that starts this file.
const settings = workerData as CopySettings;
port.postMessage(take());

function take(): CopyReply {
  try {
    const source = openConnection({ ...settings, access: 'read' });
    try {
      source.prepare('VACUUM INTO ?').run(settings.target);
    } finally {
      source.close();
    }
    return { kind: 'done', content: verify() };
  } catch (error) {
    return { kind: 'refused', refusal: toRefusal(error) };
  }
}

/** Reads every page of the copy with its key and tells what it holds. */
function verify(): StoreContent {
  const copy = openConnection({ ...settings, file: settings.target, access: 'read' });
  try {
    const result = copy.pragma('integrity_check', { simple: true });
    invariant(result === 'ok', `the copy is damaged: ${String(result)}`);
    return readContent(createStatements(copy));
  } finally {
    copy.close();
  }
}
