import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** How full a disk is. */
export interface DiskSpace {
  /** What this process may still write. */
  readonly freeBytes: number;
  readonly sizeBytes: number;
  /** What is taken, by whomever. */
  readonly usedBytes: number;
}

/** Reads how full the disk of a path is; undefined where nothing tells. */
export async function readDisk(path: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, bfree, blocks, bsize } = await statfs(path);
    return {
      ...{ freeBytes: bavail * bsize, sizeBytes: blocks * bsize },
      usedBytes: (blocks - bfree) * bsize,
    };
  } catch {
    return undefined;
  }
}

/** The directory that the disk of a path is mounted at; undefined where there is no such path. */
export async function findMount(path: string): Promise<string | undefined> {
  try {
    let mount = resolve(path);
    const { dev } = await stat(mount);
    for (let above = dirname(mount); above !== mount; above = dirname(mount)) {
      if ((await stat(above)).dev !== dev) break;
      mount = above;
    }
    return mount;
  } catch {
    return undefined;
  }
}
