/**
 * What every storage engine must keep. Each engine runs all of it, in a file of its own; the parts are
 * split by subject beside this file.
 */
import { describe } from 'vitest';

import type { Clock } from '../../src/platform/clock.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { describeCapabilities } from './capabilities.ts';
import { describeCompaction } from './compaction.ts';
import { describeDocuments } from './documents.ts';
import { describeExpiry } from './expiry.ts';
import { describeIndexes } from './indexes.ts';
import { describeLeases } from './leases.ts';
import { describeLog } from './log.ts';
import { describeOracle } from './oracle.ts';
import { describePast } from './past.ts';
import { describeQueries } from './queries.ts';
import { describeTransactions } from './transactions.ts';

/** An engine under test. */
export interface ContractSubject {
  /** Opens an empty store of its own, or, with the same `place`, the store left there. */
  open(options: { readonly clock: Clock; readonly place?: string }): Promise<OpenStore>;
}

/** An open store and where it lives, to open it again. */
export interface OpenStore {
  readonly engine: StorageEngine;
  readonly place: string;
}

/** Runs the contract against an engine. */
export function describeStorageContract(name: string, subject: ContractSubject): void {
  describe(`the storage contract of ${name}`, () => {
    describeDocuments(subject);
    describeTransactions(subject);
    describeExpiry(subject);
    describeIndexes(subject);
    describeQueries(subject);
    describeOracle(subject);
    describePast(subject);
    describeCompaction(subject);
    describeLog(subject);
    describeLeases(subject);
    describeCapabilities(subject);
  });
}
