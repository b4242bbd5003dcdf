import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';

import type { MoltenClient } from '../../../src/client/client.ts';
import { MoltenError } from '../../../src/client/molten-error.ts';
import { findIn, type Finding } from './finding.ts';

const find = findIn('server');
const HOUR_MS = 3_600_000;
/** A server looks four times a second. */
const STORE_LAG_MS_MAX = 2000;
const SNAPSHOT_AGE_MS = 26 * HOUR_MS;
const SNAPSHOT_AGE_MS_MAX = 7 * 24 * HOUR_MS;

/** What a server tells those who may ask. What the token may not ask is said, and is no failure. */
export async function examineInside(client: MoltenClient): Promise<readonly Finding[]> {
  return [
    await attempt('encryption at rest', () => examineEncryption(client)),
    await attempt('snapshots recent', () => examineSnapshots(client)),
    await attempt('database', () => examineDatabase(client)),
    await attempt('administrator', () => examineAdministrator(client)),
    await attempt('named users', () => examineUsers(client)),
  ];
}

async function attempt(name: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof MoltenError)) throw error;
    const fix = 'sign in with `molten login`, or give MOLTEN_TOKEN one with system and snapshot';
    return find(name, 'warn', `not looked at: ${error.message}; ${fix}`);
  }
}

async function examineEncryption({ system }: MoltenClient): Promise<Finding> {
  const { encrypted, release, shared } = await system.getStatus({});
  if (shared) {
    const fix =
      'the server does not encrypt a store in a database; see that its disks are encrypted';
    return find('encryption at rest', 'warn', fix);
  }
  return encrypted
    ? find('encryption at rest', 'ok', `release ${release}`)
    : find(
        'encryption at rest',
        'FAIL',
        'who has the disk has the data; give --encryption-key, with a store made by it',
      );
}

async function examineDatabase({ system }: MoltenClient): Promise<Finding> {
  const name = 'database';
  const { storeLag } = await system.getStatus({});
  if (storeLag === undefined) return find(name, 'ok', 'none: the store is in a directory');
  const lagMs = durationMs(storeLag);
  const heard = `last heard of ${String(Math.round(lagMs))} ms ago`;
  return lagMs < STORE_LAG_MS_MAX
    ? find(name, 'ok', heard)
    : find(name, 'FAIL', `${heard}; look at it, and at the network between`);
}

async function examineSnapshots({ snapshots }: MoltenClient): Promise<Finding> {
  const name = 'snapshots recent';
  const page = await snapshots.listSnapshots({ pageSize: 1 });
  const [own] = page.snapshots;
  const newestTime = page.newestTime ?? own?.createTime;
  const fix = 'take one with `molten snapshots create`, and give --snapshot-schedule';
  if (newestTime === undefined) return find(name, 'FAIL', `there is none; ${fix}`);
  const ageMs = Date.now() - timestampMs(newestTime);
  const age = `the newest is ${String(Math.floor(ageMs / HOUR_MS))} h old`;
  if (ageMs > SNAPSHOT_AGE_MS_MAX) return find(name, 'FAIL', `${age}; ${fix}`);
  return ageMs > SNAPSHOT_AGE_MS ? find(name, 'warn', `${age}; ${fix}`) : find(name, 'ok', age);
}

/** The password of the administrator is tried from everywhere first. */
async function examineAdministrator({ users }: MoltenClient): Promise<Finding> {
  const { user: me } = await users.getProfile({});
  const name = 'administrator';
  if (me === undefined)
    return find(name, 'warn', 'nobody is signed in; sign in with `molten login`');
  return me.hasSecondFactor || !me.hasPassword
    ? find(name, 'ok', `${me.name} needs more than a password`)
    : find(
        name,
        'warn',
        `${me.name} can sign in from anywhere by a password alone; enrol a second factor`,
      );
}

/** What several people do under one name, nobody did. */
async function examineUsers({ users }: MoltenClient): Promise<Finding> {
  const name = 'named users';
  const { users: some } = await users.listUsers({ pageSize: 2 });
  const fix =
    'make one for each person with `molten users create`, and keep this one for emergencies';
  return some.length > 1 ? find(name, 'ok', '') : find(name, 'warn', `there is one user; ${fix}`);
}
