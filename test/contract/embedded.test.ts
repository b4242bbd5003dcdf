import { afterAll } from 'vitest';

import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import {
  createTemporaryDirectory,
  type TemporaryDirectory,
} from '../support/temporary-directory.ts';
import { describeStorageContract, type ContractSubject } from './storage-contract.ts';

const directories: TemporaryDirectory[] = [];

function subject(password: string | undefined): ContractSubject {
  return {
    async open({ clock, place }) {
      const directory = place ?? newDirectory();
      return { engine: await openEmbeddedStore({ directory, clock, password }), place: directory };
    },
  };
}

function newDirectory(): string {
  const directory = createTemporaryDirectory();
  directories.push(directory);
  return directory.path;
}

afterAll(() => {
  for (const directory of directories) directory[Symbol.dispose]();
});

describeStorageContract('the embedded engine', subject(undefined));
describeStorageContract('the embedded engine, encrypted', subject('correct horse battery staple'));
