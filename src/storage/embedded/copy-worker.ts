import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import { readSoundContent, type StoreContent } from './content.ts';
import { openConnection } from './database.ts';
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
    return { kind: 'done', content: readSoundContent({ ...settings, file: settings.target }) };
  } catch (error) {
    return { kind: 'refused', refusal: toRefusal(error) };
  }
}
