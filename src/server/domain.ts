import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';

import type { ServerConfig } from '../config/server-config.ts';
import { createAccess, type Access } from '../domain/access/access.ts';
import { createAudit, type Audit } from '../domain/audit/audit.ts';
import { createCatalog } from '../domain/collections/catalog.ts';
import { createCollections, type Collections } from '../domain/collections/collections.ts';
import { startSweeper } from '../domain/collections/sweeper.ts';
import { createDocuments, type Documents } from '../domain/documents/documents.ts';
import { createNode, type Node } from '../domain/node/node.ts';
import { startRetention } from '../domain/node/retention.ts';
import { openQueryBounds, type QueryBoundsControl } from '../domain/quota/query-limits.ts';
import { openArchive, type Archive } from '../domain/snapshots/archive.ts';
import { createOperations, type Operations } from '../domain/snapshots/operations.ts';
import { createRestores, type Restores } from '../domain/snapshots/restores.ts';
import { startSchedule } from '../domain/snapshots/schedule.ts';
import { openSnapshots, SNAPSHOT_JOB, type Snapshots } from '../domain/snapshots/snapshots.ts';
import type { WatchTimes } from '../domain/watch/watcher.ts';
import { createWatches, type Watches } from '../domain/watch/watches.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disposer } from '../platform/disposal.ts';
import { createIdSource, type IdSource } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import type { StorageEngine } from '../storage/engine.ts';
import { openDirectories, openProviders } from './identity.ts';
import type { Observation } from './observation.ts';
import { onOneNode } from './one-node.ts';
import { RELEASE } from './release.ts';
import { createSlowQueryLog } from './slow-queries.ts';

/** Every room of the domain over one store. */
export interface Domain {
  readonly access: Access;
  readonly audit: Audit;
  readonly node: Node;
  readonly documents: Documents;
  readonly collections: Collections;
  readonly queryBounds: QueryBoundsControl;
  readonly watches: Watches;
  readonly operations: Operations;
  readonly snapshots: Snapshots;
  readonly restores: Restores;
  /** Undefined: the log is not archived. */
  readonly archive: Archive | undefined;
  /** Seals page tokens. */
  readonly pageTokenKey: Uint8Array;
  /** Makes the tokens by which pages show that they are ours. */
  readonly csrfKey: Uint8Array;
}

/** What the domain stands on. */
export interface Ground {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Closes what is opened. */
  readonly rooms: Disposer;
  readonly watchTimes: Partial<WatchTimes>;
  readonly isStopping: () => boolean;
  readonly observation: Pick<Observation, 'sweeps' | 'incidents'>;
}

const RETENTION_INTERVAL_MS = 10_000;

/** Opens the domain over an open store. */
export async function openDomain(config: ServerConfig, ground: Ground): Promise<Domain> {
  const { engine, clock } = ground;
  const { jwtSecret, rootUser, rootPassword } = config;
  const access = await createAccess({
    ...{ engine, clock, rules: { ...config.access, jwtSecret, rootUser, rootPassword } },
    directories: (linkedUsers) => openDirectories(config.identity, linkedUsers),
    providers: openProviders(config.identity, clock),
    onSealClosed: () => {
      ground.logger.warn(
        'neither --jwt-secret nor --jwt-secret-previous opens all secrets of the store: second factors and signing keys that were sealed with another stay closed until that is given as one of them',
      );
    },
  });
  const audit = await openAudit(config, ground);
  const ids = createIdSource(clock);
  const pageTokenKey = deriveKey(jwtSecret, 'page tokens');
  const watches = await openWatches(ground, access);
  const queryBounds = await openQueryBounds({ engine, clock, ceiling: config.queryCeiling });
  const opened = { ...ground, ids, pageTokenKey, queryBounds };
  const documentsAndCollections = openDocuments(config, opened);
  const keeping = await openSnapshotRooms(config, { ...ground, ids });
  startHousekeeping(config, ground);
  const archive = await startArchive(config, ground);
  const node = createNode({
    ...{ engine, release: RELEASE, startedAtMs: clock.now(), writeMode: config.writeMode },
    isEncrypted: config.encryptionKey !== undefined && config.storage === undefined,
    isStopping: ground.isStopping,
    operations: keeping.operations,
  });
  const csrfKey = deriveKey(jwtSecret, 'pages');
  const kept = { ...documentsAndCollections, ...keeping, archive };
  return { access, audit, node, watches, queryBounds, pageTokenKey, csrfKey, ...kept };
}

async function openAudit(
  { jwtSecret, audit: rules }: ServerConfig,
  { engine, clock, logger, rooms, observation: { incidents } }: Ground,
): Promise<Audit> {
  const audit = await createAudit({
    ...{ engine, clock, key: deriveKey(jwtSecret, 'audit'), ...rules },
    onFailure: (problem, error) => {
      incidents.note('audit');
      logger.error(`audit log: ${problem}`, error === undefined ? {} : { error: error.message });
    },
  });
  rooms.defer('the audit log', async () => {
    await audit[Symbol.asyncDispose]();
  });
  return audit;
}

async function openWatches(
  { engine, clock, rooms, watchTimes }: Ground,
  access: Access,
): Promise<Watches> {
  const watches = await createWatches({
    ...{ engine, clock, times: watchTimes },
    lapseOf: (principal) => access.authenticator.lapseOf(principal),
  });
  rooms.defer('watches', async () => {
    await watches[Symbol.asyncDispose]();
  });
  return watches;
}

function openDocuments(
  { strict, maxDocumentBytes: documentBytesMax, maxKeysPerRequest, slowQueryMs }: ServerConfig,
  parts: Ground &
    Pick<Domain, 'pageTokenKey' | 'queryBounds'> & {
      readonly ids: IdSource;
    },
): Pick<Domain, 'documents' | 'collections'> {
  const { engine, clock, logger, ids, pageTokenKey, queryBounds } = parts;
  const catalog = createCatalog({ engine, clock });
  const documents = createDocuments({
    ...{ engine, catalog, clock, strict, pageTokenKey, ids },
    limits: {
      ...{ documentBytesMax, keysPerRequestMax: maxKeysPerRequest },
      query: () => queryBounds.current(),
    },
    onSchemaWarning: (document, violations) => {
      logger.warn('a document breaks its schema', { ...document, violations });
    },
    onQuery: createSlowQueryLog(logger, slowQueryMs),
  });
  return { documents, collections: createCollections({ engine, catalog, clock, strict }) };
}

async function openSnapshotRooms(
  { dbPath, encryptionKey, snapshots: rules }: ServerConfig,
  { engine, clock, logger, rooms, ids, observation }: Ground & { readonly ids: IdSource },
): Promise<Pick<Domain, 'operations' | 'snapshots' | 'restores'>> {
  const operations = createOperations({
    ...{ clock, ids, node: engine.jobs === undefined ? undefined : hostname() },
    onFailure: ({ id, kind, subject, error }) => {
      observation.incidents.note('operation');
      logger.error('an operation failed', { id, kind, subject, error: error?.message });
    },
  });
  rooms.defer('operations', async () => {
    await operations[Symbol.asyncDispose]();
  });
  const snapshots = await openSnapshots({
    ...{ engine, clock, ids, operations, release: RELEASE, keep: rules.keep, hook: rules.hook },
    directory: join(dbPath, 'snapshots'),
    isEncrypted: encryptionKey !== undefined,
  });
  if (rules.schedule !== undefined) {
    startSnapshotSchedule(rules.schedule, {
      engine,
      logger,
      rooms,
      observation,
      operations,
      snapshots,
    });
  }
  return { operations, snapshots, restores: createRestores({ engine, operations }) };
}

function startSnapshotSchedule(
  expression: string,
  parts: Pick<Ground, 'engine' | 'logger' | 'rooms' | 'observation'> &
    Pick<Domain, 'operations' | 'snapshots'>,
): void {
  const { engine, logger, rooms, observation, operations, snapshots } = parts;
  const schedule = startSchedule(expression, {
    run: (momentMs) =>
      onOneNode(engine, { job: SNAPSHOT_JOB, momentMs }, async (signal) => {
        const { id, result } = snapshots.create('schedule');
        signal.addEventListener('abort', () => operations.cancel(id));
        // A failure is told by the operation.
        await result.catch(() => undefined);
      }),
    onFailure: (error) => {
      observation.incidents.note('operation');
      logger.error('a scheduled snapshot was not begun', { error: String(error) });
    },
  });
  rooms.defer('the schedule of snapshots', () => {
    schedule[Symbol.dispose]();
  });
}

async function startArchive(
  { archive: rules }: ServerConfig,
  { engine, logger, rooms, observation: { incidents } }: Ground,
): Promise<Archive | undefined> {
  if (rules === undefined) return undefined;
  const archive = await openArchive({
    ...{ engine, ...rules },
    onFailure: (error) => {
      incidents.note('archive');
      logger.error('the log could not be archived; it is tried again', { error: String(error) });
    },
  });
  rooms.defer('the archive', async () => {
    await archive[Symbol.asyncDispose]();
  });
  return archive;
}

function startHousekeeping(
  { sweepIntervalMs: intervalMs, retention: rules }: ServerConfig,
  { engine, clock, logger, rooms, observation: { sweeps, incidents } }: Ground,
): void {
  const sweeper = startSweeper({
    ...{ engine, clock, intervalMs },
    onSwept: (documents) => {
      sweeps.count += 1;
      sweeps.documents += documents;
    },
    onFailure: (error) => {
      incidents.note('sweep');
      logger.error('a sweep failed; the next one tries again', { error: String(error) });
    },
  });
  const retention = startRetention({
    ...{ engine, clock, rules, intervalMs: RETENTION_INTERVAL_MS },
    onFailure: (error) => {
      incidents.note('retention');
      logger.error('the log could not be shortened; it is tried again', { error: String(error) });
    },
  });
  rooms.defer('sweeping and retention', async () => {
    await sweeper[Symbol.asyncDispose]();
    await retention[Symbol.asyncDispose]();
  });
}

/** A key of its own for each purpose, so that one secret is enough to configure. */
function deriveKey(secret: string, purpose: string): Uint8Array {
  return createHash('sha256').update(`moltendb ${purpose}\0`).update(secret).digest();
}
