import { ANONYMOUS, type Principal } from '../../../src/domain/access/principal.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { createCatalog, type Catalog } from '../../../src/domain/collections/catalog.ts';
import {
  createCollections,
  type Collections,
} from '../../../src/domain/collections/collections.ts';
import type { RulesPatch } from '../../../src/domain/collections/rules.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import type { JsonObject } from '../../../src/storage/types.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

/** The domain of collections over an empty store of its own. */
export interface OpenDomain extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly engine: StorageEngine;
  readonly catalog: Catalog;
  readonly collections: Collections;
  /** Makes a collection with these rules as the administrator. */
  make(name: string, rules?: RulesPatch): Promise<void>;
  /** Puts documents, with the expiry that the rules of the collection give them. */
  fill(name: string, documents: Readonly<Record<string, object>>): Promise<void>;
  /** The keys that exist, as the engine has them. */
  keysOf(name: string, keys: readonly string[]): Promise<readonly string[]>;
}

/** Opens the domain; the store goes when the test ends. */
export async function openDomain({
  strict = false,
}: {
  readonly strict?: boolean;
} = {}): Promise<OpenDomain> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine = await openEmbeddedStore({ directory: directory.path, clock });
  const catalog = createCatalog({ engine, clock });
  const collections = createCollections({ engine, catalog, clock, strict });
  return {
    ...{ clock, engine, catalog, collections },
    async make(name, rules = {}) {
      await collections.create(ADMINISTRATOR, name, { rules, validateOnly: false });
    },
    async fill(name, documents) {
      const opened = await catalog.find(name);
      await engine.transact({ durability: 'async' }, (transaction) => {
        for (const [key, body] of Object.entries(documents)) {
          const text = JSON.stringify(body);
          const expiresAtMs = opened?.expiryOf(JSON.parse(text) as JsonObject, clock.now());
          transaction.put({ collection: name, key, body: text, expiresAtMs });
        }
      });
    },
    async keysOf(name, keys) {
      const found = await engine.get(name, keys);
      return found.flatMap((document) => (document === undefined ? [] : [document.key]));
    },
    async [Symbol.asyncDispose]() {
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

/** A caller with these scopes. */
export function caller(...scopes: readonly string[]): Principal {
  return { ...ANONYMOUS, kind: 'token', subject: 'somebody', scopes: createScopeSet(scopes) };
}

/** May do everything. */
export const ADMINISTRATOR: Principal = caller('*:*:*');

/** The refusal of a promise that must not fulfil. */
export async function refusalOf(promise: Promise<unknown>): Promise<DomainError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('it was done');
}
