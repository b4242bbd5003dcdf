import { open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { usageError } from '../../lib/input.ts';
import { createProgress } from '../../lib/progress.ts';

const MANIFEST = 'manifest.json';
const PIECE_BYTES = 1024 * 1024;

interface ManifestNames {
  readonly name: string;
  readonly files: readonly { readonly name: string }[];
}

/** Copies a snapshot to the server. */
export default class SnapshotsUpload extends MoltenCommand {
  static override readonly summary = 'Copy a snapshot from a directory to the server.';
  static override readonly description =
    'The server takes it in pieces and lists it only when every file is as its manifest says. What was cut off is sent again from its beginning.';
  static override readonly args: Interfaces.ArgInput = {
    directory: Args.string({
      description: 'A directory that `molten snapshots download` or the server made.',
      required: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SnapshotsUpload);
    const client = this.client(flags as unknown as ServerFlags);
    const directory = String(args['directory']);
    const { name: snapshot, files } = await manifestIn(directory);
    const progress = createProgress('bytes', (line) => process.stderr.write(line));
    let bytes = 0;
    for (const file of [...files.map(({ name }) => name), MANIFEST]) {
      for await (const { offset, data } of piecesOf(join(directory, file))) {
        await client.snapshots.uploadSnapshotPart({ snapshot, file, offset: BigInt(offset), data });
        bytes += data.length;
        progress.show(bytes);
      }
    }
    await client.snapshots.finishSnapshotUpload({ snapshot }, { timeoutMs: 0 });
    progress.finish(bytes);
    this.log(snapshot);
    return { snapshot, directory, bytes };
  }
}

/** What the server checks in full is only looked at for names here. */
async function manifestIn(directory: string): Promise<ManifestNames> {
  const text = await readFile(join(directory, MANIFEST), 'utf8').catch(() => undefined);
  if (text === undefined)
    throw usageError(`there is no snapshot in '${directory}': no ${MANIFEST}`);
  try {
    const { name, files } = JSON.parse(text) as ManifestNames;
    // Only names: what a manifest says must not lead out of the directory.
    return { name, files: files.map((file) => ({ name: basename(file.name) })) };
  } catch {
    throw usageError(`the ${MANIFEST} in '${directory}' is damaged; download the snapshot again`);
  }
}

async function* piecesOf(
  path: string,
): AsyncGenerator<{ readonly offset: number; readonly data: Uint8Array<ArrayBuffer> }> {
  const handle = await open(path);
  try {
    for (let offset = 0; ;) {
      const data = new Uint8Array(PIECE_BYTES);
      const { bytesRead } = await handle.read(data, 0, PIECE_BYTES, offset);
      if (bytesRead === 0) return;
      yield { offset, data: data.subarray(0, bytesRead) };
      offset += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
