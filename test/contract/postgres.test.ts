import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';

import { openCopyWriter } from '../../src/storage/embedded/copy-writer.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { openDatabase, type TestDatabase } from '../support/database.ts';
import { describeStorageContract } from './storage-contract.ts';

let database: TestDatabase;

beforeAll(async () => {
  // What a power cut leaves is tested elsewhere.
  database = await openDatabase({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describeStorageContract('the PostgreSQL engine', {
  async open({ clock, place = `store_${randomBytes(8).toString('hex')}` }) {
    const { password } = database;
    const copies = await openCopyWriter({ directory: '', password: undefined });
    const url = database.url(place);
    const engine = await openPostgresStore({ url, password, clock, copies });
    return { engine, place };
  },
});
