import { existsSync, statSync } from 'node:fs';

import { Flags, type Interfaces } from '@oclif/core';

import {
  activate,
  preview,
  recover,
  recoverPart,
  type RecoverOptions,
  type RecoveryReport,
  type RecoveryTarget,
} from '../../src/server/recovery.ts';
import { momentIn, usageError, wholeIn } from '../lib/input.ts';
import { OfflineCommand } from '../lib/offline-command.ts';
import { pastFlags } from '../lib/past-point.ts';

/** Recovers a store to a point of the past. */
export default class Recover extends OfflineCommand {
  static override readonly summary = 'Bring a store back as it was, into a new directory.';
  static override readonly description =
    'Starts from the store itself, or from a snapshot, goes on with the archive when there is one, and stops at the point asked for. What it starts from is only read. The result is read through before it is called done, and reported with --json: sequence, documents, hashes, and what was cut off.';
  static override readonly examples: string[] = [
    '<%= config.bin %> recover --to-time 2026-01-31T23:59:59Z --out ./recovered',
    '<%= config.bin %> recover --to-sequence 4711 --dry-run',
    '<%= config.bin %> recover --snapshot ./data/snapshots/20260131T030000000Z-0000000000004711 --archive ./log --out ./recovered --activate',
  ];
  static override readonly flags: Interfaces.FlagInput = {
    out: Flags.string({ description: 'The new directory.', default: './recovered' }),
    ...pastFlags,
    snapshot: Flags.string({ description: 'Start from this snapshot instead of the store.' }),
    archive: Flags.string({
      description: 'Go on with the segments in this directory.',
      aliases: ['log'],
    }),
    collection: Flags.string({
      description: 'Only this collection, into --as, beside everything as it is now.',
      dependsOn: ['as'],
    }),
    key: Flags.string({
      char: 'k',
      description: 'Only this document of --collection. May be given several times.',
      multiple: true,
      dependsOn: ['collection'],
    }),
    as: Flags.string({
      description: 'The collection that --collection is written to.',
      dependsOn: ['collection'],
    }),
    'dry-run': Flags.boolean({ description: 'Only show how the store would differ from now.' }),
    activate: Flags.boolean({
      description: 'Then put it in the place of the store, which is kept under another name.',
      exclusive: ['dry-run'],
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Recover);
    const live = String(flags['db-path']);
    demandArchive(flags['archive'] as string | undefined);
    const options: RecoverOptions = {
      source: (flags['snapshot'] as string | undefined) ?? live,
      out: String(flags['out']),
      archive: flags['archive'] as string | undefined,
      password: this.password(flags),
      target: targetOf(flags),
    };
    if (flags['dry-run'] === true) {
      const { report, differences } = await preview(options, live);
      this.#tell(report, 'would have');
      for (const { collection, removed, added, changed } of differences) {
        const counts = `${String(added)} back, ${String(removed)} gone, ${String(changed)} as before`;
        this.log(`  ${collection}: ${counts}`);
      }
      return { ...toJson(report), differences };
    }
    const report = await this.#recover(options, flags);
    if (flags['activate'] !== true) {
      this.log(`recovered into ${options.out}; molten activate ${options.out} makes it live`);
      return toJson(report);
    }
    const kept = activate(options.out, live);
    this.log(`${live} is recovered${kept === undefined ? '' : `; what was there is in ${kept}`}`);
    return { ...toJson(report), kept };
  }

  async #recover(
    options: RecoverOptions,
    flags: Readonly<Record<string, unknown>>,
  ): Promise<RecoveryReport> {
    const { collection, as: target, key: keys = [] } = flags;
    if (typeof collection !== 'string' || typeof target !== 'string') {
      const report = await recover(options);
      this.#tell(report, 'has');
      return report;
    }
    const part = { collection, target, keys: keys as readonly string[] };
    const { report, documents } = await recoverPart(options, part, String(flags['db-path']));
    const { sequence } = report;
    this.log(
      `${String(documents)} documents of '${collection}' at sequence ${String(sequence)} are in '${target}'`,
    );
    return report;
  }

  #tell(
    { sequence, checked, removedEntries, replayedEntries, notes }: RecoveryReport,
    has: string,
  ): void {
    const documents = checked.collections.reduce((sum, one) => sum + one.documents, 0);
    this.log(
      `it ${has} sequence ${String(sequence)}, ${String(documents)} documents; ${String(replayedEntries)} entries from the archive, ${String(removedEntries)} cut off`,
    );
    for (const note of notes) this.logToStderr(`note: ${note}`);
  }
}

/** An archive is a directory; one file may be the log of an earlier MoltenDB. */
function demandArchive(archive: string | undefined): void {
  if (archive === undefined || !existsSync(archive) || !statSync(archive).isFile()) return;
  throw usageError(
    `'${archive}' is a file, and an archive is a directory; \`molten upgrade ${archive}\` reads the log of MoltenDB 0.x`,
  );
}

function targetOf(flags: Readonly<Record<string, unknown>>): RecoveryTarget {
  const { 'to-time': time, 'to-sequence': sequence } = flags;
  if (typeof time === 'string') {
    return { kind: 'time', timestampMs: momentIn(time, '--to-time') };
  }
  if (typeof sequence === 'string') {
    return { kind: 'sequence', sequence: Number(wholeIn(sequence, '--to-sequence')) };
  }
  if (flags['snapshot'] === undefined) {
    throw usageError('give --to-time or --to-sequence, or --snapshot to start from');
  }
  return { kind: 'end' };
}

function toJson({ checked, ...report }: RecoveryReport): object {
  const { epoch, collections } = checked;
  return { ...report, epoch, collections };
}
