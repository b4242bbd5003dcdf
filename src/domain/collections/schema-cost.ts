import type { JsonObject } from '../../storage/types.ts';
import { decodeFragment, type Subschema } from './schema-tree.ts';

/**
 * How many schemas are applied to a body at most for each place in it, with every `$ref` followed; a
 * schema that refers back to itself, or away by more than a pointer, costs Infinity.
 */
export function costOf(tree: ReadonlyMap<string, Subschema>): number {
  const known = new Map<string, number>();
  const hasNestedId = [...tree.values()].some(
    ({ pointer, schema }) => pointer !== '' && '$id' in schema,
  );

  function cost(pointer: string): number {
    const before = known.get(pointer);
    if (before !== undefined) return before;
    const found = tree.get(pointer);
    // A boolean schema, or a target that is only found by its anchor or id.
    if (found === undefined) return 1;
    // Whoever comes here again before the sum is made has gone round.
    known.set(pointer, Infinity);
    const sum = found.applied.reduce((total, child) => total + cost(child), 1);
    const total = sum + costOfReference(found.schema);
    known.set(pointer, total);
    return total;
  }

  function costOfReference(schema: JsonObject): number {
    if ('$dynamicRef' in schema || '$recursiveRef' in schema) return Infinity;
    const reference = schema['$ref'];
    if (reference === undefined) return 0;
    const target = hasNestedId ? undefined : targetOf(reference);
    return target !== undefined && tree.has(target) ? cost(target) : Infinity;
  }

  return cost('');
}

/** The pointer of a reference such as `#/$defs/price`; undefined for any other. */
function targetOf(reference: unknown): string | undefined {
  const isPointer = typeof reference === 'string' && reference.startsWith('#/');
  return isPointer ? decodeFragment(reference.slice(1)) : undefined;
}

/**
 * The values and characters of a body, as a measure of the work to check it. Stops counting once it is
 * more than `limit`.
 */
export function weightOf(body: JsonObject, limit: number): number {
  let weight = 0;
  const open: unknown[] = [body];
  while (open.length > 0 && weight <= limit) {
    const value = open.pop();
    weight += 1;
    if (typeof value === 'string') weight += value.length;
    if (typeof value !== 'object' || value === null) continue;
    for (const name in value) {
      weight += Array.isArray(value) ? 0 : name.length;
      open.push((value as Record<string, unknown>)[name]);
      if (weight + open.length > limit) return limit + 1;
    }
  }
  return weight;
}
