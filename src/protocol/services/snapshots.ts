import type { SnapshotService } from '../../../gen/molten/v1/snapshots_pb.ts';
import type { Operations } from '../../domain/snapshots/operations.ts';
import type { Restores } from '../../domain/snapshots/restores.ts';
import type { Snapshots } from '../../domain/snapshots/snapshots.ts';
import { demandEverything } from '../../domain/access/user-rules.ts';
import { demandNothingHidden } from '../../domain/visibility/visibility.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { ServiceImplementation } from '../call.ts';
import { firstPage } from '../mapping/page.ts';
import { fromPoint, toDifference, toOperation, toSnapshot } from '../mapping/snapshot.ts';
import { fromDuration, toTimestamp } from '../mapping/time.ts';

/** What the service needs. */
export interface SnapshotServiceOptions {
  readonly snapshots: Snapshots;
  readonly operations: Operations;
  readonly restores: Restores;
}

type Service = ServiceImplementation<typeof SnapshotService>;

/** Creates the SnapshotService over the domain. */
export function createSnapshotService(options: SnapshotServiceOptions): Service {
  return { ...createKeeping(options), ...createMoving(options), ...createRestoring(options) };
}

function createKeeping({
  snapshots,
  operations,
}: SnapshotServiceOptions): Pick<
  Service,
  'createSnapshot' | 'listSnapshots' | 'getSnapshot' | 'deleteSnapshot' | 'verifySnapshot'
> {
  return {
    async createSnapshot({ wait }, { signal }) {
      const { id, result } = snapshots.create('request');
      let name: string | undefined;
      result.then(
        (manifest) => (name = manifest.name),
        () => undefined,
      );
      const operation = await operations.wait(id, fromDuration(wait) ?? 0, signal);
      return {
        operation: toOperation(operation),
        ...(name === undefined ? {} : { snapshot: toSnapshot(await snapshots.get(name)) }),
      };
    },
    async listSnapshots({ pageSize, pageToken }) {
      const { snapshots: all, damaged } = await snapshots.list();
      // Names sort by time, so that the last one shown is the place to go on from.
      const rest = pageToken === '' ? all : all.filter(({ name }) => name < pageToken);
      const { items, nextPageToken } = firstPage(rest, pageSize, ({ name }) => name);
      const newestMs = await snapshots.newestMs();
      return {
        ...{ snapshots: items.map(toSnapshot), nextPageToken },
        ...(newestMs === undefined ? {} : { newestTime: toTimestamp(newestMs) }),
        damagedSnapshots: pageToken === '' ? [...damaged] : [],
      };
    },
    async getSnapshot({ snapshot }) {
      return { snapshot: toSnapshot(await snapshots.get(snapshot)) };
    },
    async deleteSnapshot({ snapshot }) {
      await snapshots.delete(snapshot);
      return { snapshot };
    },
    async verifySnapshot({ snapshot }) {
      // Before it starts, so that an unknown name is an error of this call.
      await snapshots.get(snapshot);
      const { id, result } = snapshots.verify(snapshot);
      // How it ends is told by the operation.
      result.catch(() => undefined);
      return { operation: toOperation(operations.get(id)) };
    },
  };
}

function createMoving({
  snapshots,
}: SnapshotServiceOptions): Pick<
  Service,
  'downloadSnapshot' | 'uploadSnapshotPart' | 'finishSnapshotUpload'
> {
  return {
    async *downloadSnapshot({ snapshot }, { signal, principal }) {
      demandEverything(principal, 'the download of a snapshot');
      for await (const { file, offset, data } of snapshots.download(snapshot, signal)) {
        yield { file, offset: BigInt(offset), data: Uint8Array.from(data) };
      }
    },
    async uploadSnapshotPart({ snapshot, file, offset, data }) {
      if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw farOff(offset);
      await snapshots.uploadPart(snapshot, { file, offset: Number(offset), data });
      return { receivedBytes: offset + BigInt(data.length) };
    },
    async finishSnapshotUpload({ snapshot }) {
      return { snapshot: toSnapshot(await snapshots.finishUpload(snapshot)) };
    },
  };
}

function createRestoring({
  restores,
  operations,
}: SnapshotServiceOptions): Pick<Service, 'previewRestore' | 'restoreCollection'> {
  return {
    async previewRestore({ point, collections }, { signal }) {
      const preview = await restores.preview(fromPoint(point), collections, signal);
      return {
        sequence: preview.sequence,
        ...(preview.timestampMs === undefined
          ? {}
          : { commitTime: toTimestamp(preview.timestampMs) }),
        currentSequence: preview.currentSequence,
        differences: preview.differences.map(toDifference),
      };
    },
    async restoreCollection({ point, collection, target, keys }, { principal }) {
      // Its target is another collection, where other fields are hidden.
      demandNothingHidden(principal, 'a restore');
      const request = { point: fromPoint(point), collection, target, keys };
      const { id, result } = await restores.restore(request);
      // How it ends is told by the operation.
      result.catch(() => undefined);
      return { operation: toOperation(operations.get(id)) };
    },
  };
}

function farOff(offset: bigint): DomainError {
  return new DomainError('ARGUMENT_INVALID', `offset ${String(offset)} is beyond any file`, {
    metadata: { field: 'offset' },
  });
}
