import { DomainError } from '../../errors/domain-error.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { Durability, Sequence } from '../../storage/types.ts';
import type { Operations } from '../snapshots/operations.ts';

/** Whether a server can serve. */
export type NodeState = 'ready' | 'readOnly' | 'stopping';

/** How a server does. */
export interface NodeStatus {
  readonly release: string;
  readonly state: NodeState;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly sequence: Sequence;
  readonly durableSequence: Sequence;
  /** Collections of users, and the documents in them. */
  readonly collections: number;
  readonly documents: number;
  readonly storedBytes: number;
  readonly residentBytes: number;
  readonly isEncrypted: boolean;
  readonly writeMode: Durability;
  readonly runtime: string;
  /** Other nodes may write the store. */
  readonly isShared: boolean;
  /** Milliseconds since the store was last heard of; undefined: it is in this process. */
  readonly storeLagMs: number | undefined;
}

/** The server itself. */
export interface Node {
  /** Cheap; for load balancers. */
  state(): NodeState;
  status(): Promise<NodeStatus>;
  /** Makes every acknowledged write durable; returns the sequence reached. */
  flush(): Promise<Sequence>;
  /** Starts to encrypt the store anew; the id of the operation. ARGUMENT_INVALID for a cleartext store. */
  rotateDataKey(): string;
}

/** What a node knows of itself. */
export interface NodeParts {
  readonly engine: StorageEngine;
  readonly release: string;
  readonly startedAtMs: number;
  readonly isEncrypted: boolean;
  readonly writeMode: Durability;
  readonly isStopping: () => boolean;
  readonly operations: Operations;
}

/** Creates the node of a server. */
export function createNode(parts: NodeParts): Node {
  const { engine, release, startedAtMs, isEncrypted, writeMode } = parts;

  function state(): NodeState {
    const { state: stored } = engine.health();
    if (parts.isStopping() || stored === 'closed') return 'stopping';
    return stored;
  }

  return {
    state,
    flush: () => engine.flush(),
    rotateDataKey() {
      if (!engine.capabilities.encryption) throw notHere();
      if (!isEncrypted) throw notEncrypted();
      const { id, result } = parts.operations.start('rotateDataKey', '', async ({ report }) => {
        report({ phase: 'writing every page again' });
        await engine.rotateDataKey();
      });
      // How it ends is told by the operation.
      result.catch(() => undefined);
      return id;
    },
    async status() {
      const health = engine.health();
      const collections = (await engine.collections()).filter(({ name }) => !name.startsWith('$'));
      return {
        ...{ release, startedAtMs, isEncrypted, writeMode, state: state() },
        ...{ sequence: health.lastSequence, durableSequence: health.durableSequence },
        collections: collections.length,
        documents: collections.reduce((sum, { documents }) => sum + documents, 0),
        storedBytes: health.storedBytes,
        residentBytes: process.memoryUsage.rss(),
        runtime: `node ${process.versions.node}`,
        ...{ isShared: engine.capabilities.shared, storeLagMs: health.lagMs },
      };
    },
  };
}

function notEncrypted(): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    'the store is not encrypted; stop the server and use `molten encryption rotate-offline` to encrypt it',
  );
}

function notHere(): DomainError {
  return new DomainError(
    'FEATURE_DISABLED',
    'the server does not encrypt a store in a database; encrypt the disks of the database',
  );
}
