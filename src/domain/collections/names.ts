import { DomainError } from '../../errors/domain-error.ts';
import { nameOf } from '../query/refuse.ts';
import { COLLECTION_NAME, DOCUMENT_KEY, type NamePattern } from '../query/shape.ts';

/** Names that belong to routes, or would be mistaken for something else. */
export const RESERVED_NAMES: readonly string[] = [
  ...['admin', 'system', 'config', 'internal', '__proto__'],
];

/** KEY_INVALID unless `name` can name a collection of users. `field` is where it came from. */
export function checkCollectionName(name: string, field = 'collection'): void {
  check(name, field, COLLECTION_NAME);
  if (!RESERVED_NAMES.includes(name)) return;
  throw invalid(field, `is '${name}', a reserved name; choose another`);
}

/** KEY_INVALID unless `key` can name a document. */
export function checkKey(key: string, field = 'key'): void {
  check(key, field, DOCUMENT_KEY);
}

/** KEY_INVALID unless `name` can name an index. */
export function checkIndexName(name: string): void {
  const wanted = 'the name of an index: 1 to 64 of A-Z, a-z, 0-9, "_" and "-"';
  check(name, 'index', { pattern: COLLECTION_NAME.pattern, wanted });
}

function check(value: string, field: string, { pattern, wanted }: NamePattern): void {
  if (!pattern.test(value)) throw invalid(field, `is ${nameOf(value)}; wants ${wanted}`);
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('KEY_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
