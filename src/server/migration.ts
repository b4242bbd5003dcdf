/** Moves stores between engines. For the command line. */
import { existsSync } from 'node:fs';

import { readManifest, verifyFiles } from '../domain/snapshots/manifest.ts';
import { DomainError } from '../errors/domain-error.ts';
import { buildMigrated, openDirectorySource } from '../storage/embedded/recovery/migration.ts';
import { openDatabaseSource } from '../storage/postgres/migration-source.ts';
import { loadDatabase } from '../storage/postgres/migration-target.ts';
import {
  migrateStore,
  type MigrationProgress,
  type MigrationReport,
  type MigrationSource,
  type MigrationTarget,
} from '../storage/transfer/migrate.ts';

export type { MigrationProgress, MigrationReport } from '../storage/transfer/migrate.ts';

/** A store in a directory, or in the schema of a database. */
export interface StorePlace {
  /** A directory, or `postgres://user@host:port/database?schema=…`. */
  readonly at: string;
  /** The encryption key of a directory, or the password of the user of a database. */
  readonly password: string | undefined;
}

/** What is moved, and where to. */
export interface MigrateOptions {
  readonly from: StorePlace;
  readonly to: StorePlace;
  /** Goes along with a source that is in use, until it is not. */
  readonly follow: boolean;
  readonly onProgress: (progress: MigrationProgress) => void;
  readonly signal?: AbortSignal;
}

/** Whether a place is a database and not a directory. */
export function isDatabase(at: string): boolean {
  return /^postgres(?:ql)?:/.test(at);
}

/** Moves a store; see `migrateStore`. One of the two places is a database. */
export async function migrate(options: MigrateOptions): Promise<MigrationReport> {
  const { from, to, ...rest } = options;
  if (!isDatabase(from.at) && !isDatabase(to.at)) {
    throw new DomainError(
      'ARGUMENT_INVALID',
      'both are directories; one of them has to be a database. `molten recover` copies a directory',
    );
  }
  await using source = await openSource(from);
  return await withTarget(to, (target) => migrateStore({ ...rest, source, target }));
}

async function openSource({ at, password }: StorePlace): Promise<MigrationSource> {
  if (isDatabase(at)) return await openDatabaseSource({ url: at, password });
  if (existsSync(`${at}/manifest.json`)) await verifyFiles(at, await readManifest(at));
  return await openDirectorySource({ directory: at, password });
}

async function withTarget<T>(
  { at, password }: StorePlace,
  work: (target: MigrationTarget) => Promise<T>,
): Promise<T> {
  return isDatabase(at)
    ? await loadDatabase({ url: at, password }, work)
    : await buildMigrated({ directory: at, password }, work);
}
