import { createAudit, type Audit, type AuditOptions } from '../../../src/domain/audit/audit.ts';
import type { AuditEntry, AuditRecord } from '../../../src/domain/audit/record.ts';
import type { AuditVerification } from '../../../src/domain/audit/verify.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine, Transaction } from '../../../src/storage/engine.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

/** The key of test chains. */
export const KEY: Uint8Array = Buffer.alloc(32, 7);

/** An audit log over an empty store of its own, and ways to spoil it. */
export interface OpenAudit extends AsyncDisposable {
  readonly directory: string;
  readonly clock: ManualClock;
  readonly engine: StorageEngine;
  readonly problems: string[];
  /** Another audit log over the same store; closed with it. */
  open(options?: Partial<AuditOptions>): Promise<Audit>;
  /** Writes into the store past the audit log. */
  spoil(change: (transaction: Transaction) => void | Promise<void>): Promise<void>;
}

/** Opens an empty store for audit logs; it goes when the test ends. */
export async function openStore(): Promise<OpenAudit> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine = await openEmbeddedStore({ directory: directory.path, clock });
  const opened: Audit[] = [];
  const problems: string[] = [];
  return {
    ...{ directory: directory.path, clock, engine, problems },
    async open(options = {}) {
      const audit = await createAudit({
        ...{ engine, clock, key: KEY, retainMs: 0, ...options },
        onFailure: (problem) => problems.push(problem),
      });
      opened.push(audit);
      return audit;
    },
    async spoil(change) {
      await engine.transact({ durability: 'async' }, change);
    },
    async [Symbol.asyncDispose]() {
      for (const audit of opened) await audit[Symbol.asyncDispose]();
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

/** An entry that stands for any. */
export function entry(resource: string, change: Partial<AuditEntry> = {}): AuditEntry {
  return { action: 'user.create', result: 'success', actor: 'root', resource, ...change };
}

/** Records `count` entries one after the other, named by their number. */
export async function recordMany(audit: Audit, count: number): Promise<AuditRecord[]> {
  return await Promise.all(
    Array.from({ length: count }, (_, at) => audit.record(entry(`r${String(at + 1)}`))),
  );
}

/** Everything, oldest first. */
export async function listAll(audit: Audit): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  for (let pageToken = ''; ;) {
    const page = await audit.list({ order: 'oldest', pageSize: 1000, pageToken });
    records.push(...page.records);
    if (page.nextPageToken === '') return records;
    pageToken = page.nextPageToken;
  }
}

/** A verification of all there is. */
export function verifyAll(audit: Audit): Promise<AuditVerification> {
  return audit.verify({}, new AbortController().signal);
}

/** Waits until something is so; fails after ten seconds. */
export async function until<T>(find: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (let attempts = 0; attempts < 1000; attempts++) {
    const found = await find();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not come to be so');
}
