import { createWriterCatalog, type WriterCatalog } from '../commit/catalog.ts';
import { createCommitter, type Committer } from '../commit/committer.ts';
import { continueLog, type LogWriter } from '../commit/log-writer.ts';
import { refusalOf, type CommitOutcome, type CommitRequest } from '../commit/operations.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { holdLeases, type HeldLeases } from './lease.ts';
import { loadHolders, loadMissing, loadNeeds, needsOf } from './load.ts';
import type { Turn } from './log-turn.ts';
import { statementsOf } from './save.ts';
import { Gap, WorkingSet, type Changes } from './working-set.ts';

/** A working set and what decides over it. */
export interface Bench {
  readonly set: WorkingSet;
  readonly catalog: WriterCatalog;
  readonly log: LogWriter;
  readonly committer: Committer;
}

/** Sets up what decides, as of a locked clock. */
export function openBench(
  clock: ClockRow,
  { fill, nowMs }: { readonly fill: (set: WorkingSet) => void; readonly nowMs: number },
): Bench {
  const set = new WorkingSet({ historyBytes: clock.history_bytes, ids: clock.ids });
  fill(set);
  const catalog = createWriterCatalog(set);
  const end = { sequence: clock.seq, timestampMs: clock.ts, history: clock.history_bytes };
  const log = continueLog(set, end);
  log.setTime(nowMs);
  return { set, catalog, log, committer: createCommitter({ store: set, catalog, log, refuse }) };
}

/** What is to be committed of a bench. */
export function closeBench(
  { set, catalog, log }: Bench,
  clock: ClockRow,
): {
  readonly clock: ClockRow;
  readonly statements: ReturnType<typeof statementsOf>;
} {
  catalog.save();
  log.save();
  const { sequence, timestampMs } = log.position();
  return {
    clock: {
      ...{ ...clock, seq: sequence, ts: timestampMs, ids: set.ids },
      ...{ history_bytes: set.historyBytes, has_work: clock.has_work || leavesWork(set.changes) },
    },
    statements: statementsOf(set.changes),
  };
}

/** What is needed of the rows, and what says whether a lease is held. */
type Loaded = readonly [(set: WorkingSet) => void, HeldLeases];

/** The turn that commits a group of transactions. */
export function commitTurn(
  requests: readonly CommitRequest[],
  nowMs: number,
): Turn<Loaded, readonly CommitOutcome[]> {
  const leases = requests.flatMap(({ lease }) => lease ?? []);
  return {
    isSync: requests.some(({ durability }) => durability === 'sync'),
    load: (connection) =>
      Promise.all([loadNeeds(connection, needsOf(requests)), holdLeases(connection, leases)]),
    async decide(connection, { clock, loaded: [fill, refusalOfLease] }) {
      const bench = openBench(clock, { fill, nowMs });
      const result: CommitOutcome[] = [];
      for (const request of requests) {
        const lost = refusalOfLease(request.lease);
        result.push(
          lost === undefined
            ? await complete(connection, bench, () => bench.committer.apply(request))
            : { kind: 'refused', refusal: refusalOf(lost) },
        );
      }
      const isChanged = result.some(({ kind }) => kind === 'committed');
      return { result, commit: isChanged ? closeBench(bench, clock) : undefined };
    },
  };
}

/** Does what takes back its changes when it meets a gap; fills the gap and does it again. */
export async function complete<T>(
  connection: Connection,
  { set }: Pick<Bench, 'set'>,
  work: () => T,
): Promise<T> {
  for (;;) {
    const outcome = attempt(work);
    const guessed = set.takeGuessed();
    // What a guess has led to may be a refusal, too.
    if (!(outcome instanceof Gap) && guessed.length === 0) return outcome.value;
    if (guessed.length > 0) await loadHolders(connection, set, guessed);
    if (outcome instanceof Gap && outcome.missing !== undefined) {
      await loadMissing(connection, set, outcome.missing);
    }
  }
}

function attempt<T>(work: () => T): { readonly value: T } | Gap {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof Gap) return error;
    throw error;
  }
}

function leavesWork({ deletedIndexes, indexes, collections }: Changes): boolean {
  if (deletedIndexes.size > 0) return true;
  if ([...indexes.values()].some(({ state }) => state === 'building')) return true;
  return [...collections.values()].some(
    ({ row }) => row.documents_max !== null && row.documents > row.documents_max,
  );
}

function refuse(error: unknown): ReturnType<typeof refusalOf> {
  if (error instanceof DomainError) return refusalOf(error);
  throw error;
}
