import { Flags, type Interfaces } from '@oclif/core';

import {
  isDatabase,
  migrate,
  type MigrationProgress,
  type MigrationReport,
  type StorePlace,
} from '../../src/server/migration.ts';
import { OfflineCommand } from '../lib/offline-command.ts';
import { readDatabasePassword } from '../lib/secrets.ts';

/** They leave nothing behind where it was moved to. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const PHASES: Readonly<Record<MigrationProgress['phase'], string>> = {
  copying: 'copying',
  following: 'following, until the servers stop',
  verifying: 'comparing both',
};

/** Moves a store between a directory and a PostgreSQL. */
export default class Migrate extends OfflineCommand {
  static override readonly summary = 'Move a store between a directory and a PostgreSQL.';
  static override readonly description =
    'Copies the store, a snapshot, or what is in a schema of a database into an empty schema or a new directory: documents, versions, sequences, history, settings, users, audit. Both are read back and compared by hash before anything can open the copy, which has a timeline of its own. What is copied from is only read. With --follow it may be in use: what is written meanwhile follows, and the rest when the last server has stopped.';
  static override readonly examples: string[] = [
    '<%= config.bin %> migrate --from ./data --to postgres://molten@db.example.org/app --follow',
    '<%= config.bin %> migrate --from ./recovered --to "postgres://molten@db.example.org/app?schema=recovered"',
    '<%= config.bin %> migrate --from postgres://molten@db.example.org/app --to ./data',
  ];
  static override readonly flags: Interfaces.FlagInput = {
    from: Flags.string({
      description:
        'A directory with a store or a snapshot, or postgres://user@host:port/database?schema=…. Otherwise the store of --db-path.',
    }),
    to: Flags.string({
      description: 'A directory that is not there yet, or the address of an empty schema.',
      required: true,
    }),
    follow: Flags.boolean({
      description: 'Go along with servers that have --from open, until the last one has stopped.',
    }),
    'from-password-file': Flags.string({
      description:
        'A file with the password of the database of --from. Otherwise MOLTENDB_STORAGE_PASSWORD or MOLTENDB_STORAGE_PASSWORD_FILE, or it is asked for.',
    }),
    'to-password-file': Flags.string({
      description: 'A file with the password of the database of --to. Otherwise as for --from.',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Migrate);
    const from = await this.#place(flags, 'from', String(flags['from'] ?? flags['db-path']));
    const to = await this.#place(flags, 'to', String(flags['to']));
    const stopping = new AbortController();
    const stop = (): void => {
      stopping.abort();
    };
    for (const signal of SIGNALS) process.once(signal, stop);
    const report = await migrate({
      ...{ from, to, follow: flags['follow'] === true, signal: stopping.signal },
      onProgress: this.#progress(),
    });
    this.#tell(report, to.at);
    return { from: from.at, to: to.at, isEqual: true, ...report };
  }

  async #place(
    flags: Readonly<Record<string, unknown>>,
    side: 'from' | 'to',
    at: string,
  ): Promise<StorePlace> {
    if (!isDatabase(at)) return { at, password: this.password(flags) };
    return { at, password: await readDatabasePassword(flags, `${side}-password`) };
  }

  #tell({ sequence, collections, sha256, cutMs }: MigrationReport, to: string): void {
    const documents = collections.reduce((sum, one) => sum + one.documents, 0);
    this.log(`${to} has sequence ${String(sequence)}, ${String(documents)} documents, ${sha256}`);
    for (const one of collections) {
      this.log(`  ${one.name}: ${String(one.documents)} documents, ${one.sha256}`);
    }
    if (cutMs !== undefined) this.log(`nobody could write for ${cutMs.toFixed(0)} ms`);
  }

  /** One line on standard error per phase, and one whenever as much again was copied. */
  #progress(): (progress: MigrationProgress) => void {
    let [last, next] = ['', 0];
    return ({ phase, entries, sequence }) => {
      if (phase === last && entries < next) return;
      next = entries * 2;
      last = phase;
      // Also with --json: whoever follows waits for it.
      process.stderr.write(
        `${PHASES[phase]}: ${String(entries)} entries, to sequence ${String(sequence)}\n`,
      );
    };
  }
}
