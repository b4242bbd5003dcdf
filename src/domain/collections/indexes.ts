import { invariant } from '../../errors/invariant.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { walkTo } from '../../storage/query/hidden.ts';
import type { IndexField, IndexRecord } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import { parseFieldPath } from '../query/field-path.ts';
import { nameOf, refuse } from '../query/refuse.ts';
import { visibilityOf, type Visibility } from '../visibility/visibility.ts';
import { checkCollectionName, checkIndexName } from './names.ts';
import { collectionNotFound, indexNotFound, permitCollection } from './refusal.ts';
import { DEFAULT_RULES, toSettings } from './rules.ts';

/** An index as asked for; an empty name is made of the paths. */
export interface IndexRequest {
  readonly name: string;
  /** 1 to 8, each path once. */
  readonly fields: readonly IndexField[];
  readonly unique: boolean;
}

/** Indexes of collections. Each method checks the scopes before it tells whether anything exists. */
export interface Indexes {
  /**
   * Declares an index; answers while it is still being built. Makes the collection when it is missing,
   * unless the server is strict. INDEX_EXISTS when the name is taken; a name made of the paths is taken
   * only by an index over the same fields.
   */
  createIndex(
    principal: Principal,
    collection: string,
    request: IndexRequest,
  ): Promise<IndexRecord>;
  getIndex(principal: Principal, collection: string, index: string): Promise<IndexRecord>;
  /** By name. */
  listIndexes(principal: Principal, collection: string): Promise<readonly IndexRecord[]>;
  dropIndex(principal: Principal, collection: string, index: string): Promise<void>;
}

const INDEX_NAME_CHARS_MAX = 64;
const INDEX_FIELDS_MAX = 8;

/** Creates the indexes of a store. */
export function createIndexes({
  engine,
  strict,
}: {
  readonly engine: StorageEngine;
  readonly strict: boolean;
}): Indexes {
  async function wantCollection(collection: string): Promise<void> {
    checkCollectionName(collection);
    const found = await engine.findCollection(collection);
    if (found === undefined) throw collectionNotFound(collection);
  }

  async function nameFor(collection: string, { name, fields }: IndexRequest): Promise<string> {
    if (name === '') return madeUpName(fields, await engine.indexes(collection));
    checkIndexName(name);
    return name;
  }

  const indexes: Indexes = {
    async createIndex(principal, collection, request) {
      permitCollection(principal, 'schema', collection);
      checkCollectionName(collection);
      checkFields(request.fields);
      const visibility = visibilityOf(principal, collection);
      for (const { path } of request.fields) {
        visibility.demandVisible(path.split('.'), { argument: 'fields', use: 'value' });
      }
      const name = await nameFor(collection, request);
      if (!strict && (await engine.findCollection(collection)) === undefined) {
        await engine.transact({ durability: 'sync' }, (transaction) => {
          transaction.createCollection(collection, toSettings(DEFAULT_RULES));
        });
      }
      const { fields, unique } = request;
      return await engine.createIndex({ collection, name, fields, unique });
    },
    async getIndex(principal, collection, index) {
      const all = await indexes.listIndexes(principal, collection);
      const found = all.find(({ name }) => name === index);
      if (found === undefined) throw indexNotFound(collection, index);
      return found;
    },
    async listIndexes(principal, collection) {
      permitCollection(principal, 'read', collection);
      await wantCollection(collection);
      const all = await engine.indexes(collection);
      return all.filter((one) => !namesHidden(visibilityOf(principal, collection), one));
    },
    async dropIndex(principal, collection, index) {
      permitCollection(principal, 'schema', collection);
      await wantCollection(collection);
      const found = (await engine.indexes(collection)).find(({ name }) => name === index);
      if (found && namesHidden(visibilityOf(principal, collection), found)) {
        throw indexNotFound(collection, index);
      }
      await engine.dropIndex(collection, index);
    },
  };
  return indexes;
}

/** An index over a hidden field, or over a parent of one, would tell whether values repeat. */
function namesHidden(visibility: Visibility, { fields }: IndexRecord): boolean {
  if (visibility.isWhole) return false;
  return fields.some(({ path }) => walkTo(visibility.root, path.split('.')).length > 0);
}

function checkFields(fields: readonly IndexField[]): void {
  const isInBounds = fields.length >= 1 && fields.length <= INDEX_FIELDS_MAX;
  if (!isInBounds) {
    const problem = `are ${String(fields.length)}; wants 1 to ${String(INDEX_FIELDS_MAX)}`;
    throw refuse('ARGUMENT_INVALID', 'fields', problem);
  }
  const seen = new Set<string>();
  fields.forEach(({ path }, at) => {
    const field = `fields[${String(at)}].path`;
    parseFieldPath(path, { field, reason: 'ARGUMENT_INVALID' });
    if (seen.has(path)) {
      throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(path)}, named before; name it once`);
    }
    seen.add(path);
  });
}

/**
 * A name made of the paths. Different fields can give the same name, because dots become `_` and long
 * names are cut; then the later index gets a number.
 */
function madeUpName(fields: readonly IndexField[], taken: readonly IndexRecord[]): string {
  const base = partsOf(fields).join('_').replaceAll('.', '_');
  const inTheWay = new Map(taken.map((index) => [index.name, index]));
  for (let count = 1; count <= taken.length + 1; count++) {
    const suffix = count === 1 ? '' : `_${String(count)}`;
    const name = base.slice(0, INDEX_NAME_CHARS_MAX - suffix.length) + suffix;
    const other = inTheWay.get(name);
    if (other === undefined || String(partsOf(other.fields)) === String(partsOf(fields)))
      return name;
  }
  invariant(false, 'more names were tried than there are indexes');
}

function partsOf(fields: readonly IndexField[]): readonly string[] {
  return fields.map(({ path, direction }) => (direction === 'desc' ? `${path}-desc` : path));
}
