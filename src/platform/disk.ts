import { statfs } from 'node:fs/promises';

/** How full a disk is. */
export interface DiskSpace {
  /** What this process may still write. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** Reads how full the disk of a path is; undefined where nothing tells. */
export async function readDisk(path: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
  } catch {
    return undefined;
  }
}
