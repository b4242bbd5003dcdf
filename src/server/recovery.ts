/** Work on stores that no server has open: recovery, verification, keys. For the command line. */
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { checkArchive, readArchive } from '../domain/snapshots/archive.ts';
import { problemsOfFiles, readManifest, verifyFiles } from '../domain/snapshots/manifest.ts';
import { DomainError } from '../errors/domain-error.ts';
import { copyDocuments } from '../domain/snapshots/restores.ts';
import { systemClock } from '../platform/clock.ts';
import type { CheckedStore } from '../storage/embedded/recovery/check.ts';
import { PARTIAL_SUFFIX } from '../storage/embedded/recovery/directory.ts';
import {
  archiveKeyOf,
  checkDirectory,
  recoverStore,
  type RecoveryReport,
  type RecoveryTarget,
} from '../storage/embedded/recovery/recover.ts';
import { changePassword } from '../storage/embedded/keyring.ts';
import { openEmbeddedStore } from '../storage/embedded/open.ts';
import { lockStore } from '../storage/embedded/lock.ts';
import { compareStores, type StoreDifference } from '../storage/embedded/recovery/compare.ts';

export { importLog } from '../storage/embedded/recovery/import-log.ts';
export { rotateDataKey } from '../storage/embedded/recovery/rotate.ts';
export type { RecoveryReport, RecoveryTarget } from '../storage/embedded/recovery/recover.ts';

/** What is recovered, and where to. */
export interface RecoverOptions {
  /** The directory of a store or of a snapshot. */
  readonly source: string;
  readonly out: string;
  readonly archive: string | undefined;
  readonly password: string | undefined;
  readonly target: RecoveryTarget;
}

/** Recovers into a new directory; see `recoverStore`. A snapshot is compared with its manifest first. */
export async function recover(options: RecoverOptions): Promise<RecoveryReport> {
  const { source, archive } = options;
  if (existsSync(join(source, 'manifest.json'))) {
    await verifyFiles(source, await readManifest(source));
  }
  return await recoverStore({
    ...options,
    archive: (key, epoch) => {
      if (archive === undefined) return [];
      if (!existsSync(join(archive, epoch))) throw noTimeline(archive, epoch);
      return readArchive(archive, epoch, key);
    },
  });
}

/** What was verified. */
export type Verified =
  | { readonly kind: 'store' | 'snapshot'; readonly store: CheckedStore }
  | { readonly kind: 'archive'; readonly timelines: ReturnType<typeof checkArchive> };

/**
 * Reads all of a store, a snapshot or an archive. `store` is where the keyring of an encrypted archive
 * is. CORRUPTION_DETECTED for a manifest or a segment at fault, or a store that cannot be opened; what is
 * wrong inside of a store, and which files of a snapshot are not as they were, is listed.
 */
export async function verify(
  directory: string,
  {
    password,
    store,
  }: { readonly password: string | undefined; readonly store: string | undefined },
): Promise<Verified> {
  if (existsSync(join(directory, 'manifest.json'))) {
    return { kind: 'snapshot', store: await checkSnapshot(directory, password) };
  }
  if (existsSync(join(directory, 'moltendb.sqlite'))) {
    return { kind: 'store', store: await checkDirectory(directory, password) };
  }
  const key = store === undefined ? undefined : await archiveKeyOf(store, password);
  const timelines = existsSync(directory) ? checkArchive(directory, key) : [];
  if (timelines.length === 0) {
    throw invalid(`'${directory}' is neither a store nor a snapshot nor an archive`);
  }
  return { kind: 'archive', timelines };
}

/** A file with another content may be readable in part: what inside of it is damaged is named as well. */
async function checkSnapshot(
  directory: string,
  password: string | undefined,
): Promise<CheckedStore> {
  const manifest = await readManifest(directory);
  const files = await problemsOfFiles(directory, manifest);
  try {
    const store = await checkDirectory(directory, password);
    return { ...store, problems: [...files, ...store.problems] };
  } catch (error) {
    // Not even opened: which file is at fault says more.
    await verifyFiles(directory, manifest);
    throw error;
  }
}

/** Documents of the past to bring back beside what is there now. */
export interface PartialRecovery {
  readonly collection: string;
  /** Empty: all. */
  readonly keys: readonly string[];
  /** The collection to write to; must have no documents. */
  readonly target: string;
}

/**
 * Recovers one collection, or some documents of it: a copy of the whole store as it is, with what was
 * written again under another name.
 */
export async function recoverPart(
  options: RecoverOptions,
  part: PartialRecovery,
  live: string,
): Promise<{ readonly report: RecoveryReport; readonly documents: number }> {
  const { password } = options;
  const past = `${options.out}.past`;
  const report = await recover({ ...options, out: past });
  try {
    await recover({ ...options, source: live, archive: undefined, target: { kind: 'end' } });
    return { report, documents: await copyPart(past, options.out, { ...part, password }) };
  } finally {
    rmSync(past, { recursive: true, force: true });
  }
}

async function copyPart(
  from: string,
  to: string,
  part: PartialRecovery & { readonly password: string | undefined },
): Promise<number> {
  const { collection, keys, target, password } = part;
  const shared = { clock: systemClock, password };
  await using past = await openEmbeddedStore({ directory: from, ...shared });
  await using now = await openEmbeddedStore({ directory: to, ...shared });
  return await copyDocuments(past, now, { collection, keys, target });
}

/** What of a directory is no store: it stays where the server looks for it. */
const BELONGINGS = ['development-secrets', 'snapshots'];

/**
 * Puts a recovered store in the place of another one, which is kept under a name with the time. Fails
 * with ENGINE_UNAVAILABLE while a server has the old one open. Returns where the old one is now.
 */
export function activate(recovered: string, live: string): string | undefined {
  checkPlaces(recovered, live);
  if (!existsSync(live)) {
    renameSync(recovered, live);
    return undefined;
  }
  const release = lockStore(live);
  try {
    const time = new Date(systemClock.now()).toISOString().replaceAll(/[-:.]/g, '');
    const kept = `${resolve(live)}.before-${time}`;
    renameSync(live, kept);
    try {
      renameSync(recovered, live);
    } catch (error) {
      renameSync(kept, live);
      throw error;
    }
    for (const name of BELONGINGS) {
      const isFree = existsSync(join(kept, name)) && !existsSync(join(live, name));
      if (isFree) renameSync(join(kept, name), join(live, name));
    }
    return kept;
  } finally {
    release();
  }
}

/** Everything that would make a rename fail, or take the store away, is found before there is one. */
function checkPlaces(recovered: string, live: string): void {
  if (!existsSync(join(recovered, 'moltendb.sqlite'))) throw noStore(recovered);
  const [from, to] = [resolve(recovered), resolve(live)];
  if (from.endsWith(PARTIAL_SUFFIX)) {
    throw invalid(`'${recovered}' is not complete; recover again`);
  }
  if (from === to || from.startsWith(`${to}/`) || to.startsWith(`${from}/`)) {
    throw invalid(
      `'${recovered}' and '${live}' lie inside each other; recover to a directory beside it`,
    );
  }
  if (statSync(from).dev !== statSync(dirname(to)).dev) {
    throw invalid(
      `'${recovered}' is on another disk than '${live}'; recover to a directory beside it`,
    );
  }
}

function invalid(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', problem);
}

/**
 * What a recovery would change, against the store as it is: recovers beside `out`, compares, and removes
 * it again.
 */
export async function preview(
  options: RecoverOptions,
  live: string,
): Promise<{ readonly report: RecoveryReport; readonly differences: readonly StoreDifference[] }> {
  const out = `${options.out}.preview`;
  const report = await recover({ ...options, out });
  try {
    return { report, differences: await compareStores(live, out, options.password) };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** Wraps the data key of a store by another password. The server must be stopped. */
export async function changeStorePassword(
  directory: string,
  passwords: { readonly from: string; readonly to: string },
): Promise<void> {
  const release = lockStore(directory);
  try {
    await changePassword(directory, passwords);
  } finally {
    release();
  }
}

function noTimeline(archive: string, epoch: string): DomainError {
  return invalid(
    `the archive in '${archive}' has nothing of the timeline ${epoch} that the source belongs to`,
  );
}

function noStore(directory: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `there is no store in '${directory}'`, {
    metadata: { directory },
  });
}
