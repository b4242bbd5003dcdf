/**
 * JSON Patch (RFC 6902) over documents of strangers. Own code, because what a pointer reaches is a
 * question of safety here: only members that an object itself has, only elements that a list has, and
 * no more memory than a document may take. The operations work on one private copy.
 */
import { DomainError } from '../../errors/domain-error.ts';
import { deepEquals } from '../../storage/query/compare.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Json, JsonObject } from '../../storage/types.ts';

/** One operation. */
export interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: string;
  /** Where `move` and `copy` take their value. */
  readonly from: string | undefined;
  /** What `add`, `replace` and `test` take. */
  readonly value: Json | undefined;
}

/** RFC 6901: empty, or segments behind slashes, with `~0` for `~` and `~1` for `/`. */
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;
const INDEX = /^(?:0|[1-9]\d{0,8})$/;

type Holder = Record<string, Json> | Json[];

/**
 * Applies operations one after the other, all or none. PATCH_INVALID names the one that does not fit;
 * DOCUMENT_TOO_LARGE when values add up to more than `charsMax` characters of JSON.
 */
export function applyJsonPatch(
  body: JsonObject,
  operations: readonly PatchOperation[],
  charsMax: number,
): JsonObject {
  const patching = new Patching(body, charsMax);
  for (const [at, operation] of operations.entries()) {
    try {
      patching.apply(operation);
    } catch (error) {
      throw error instanceof Unfit ? patchInvalid(at, error.message) : error;
    }
  }
  return patching.result(operations.length - 1);
}

/** The names in a JSON Pointer (RFC 6901), which is taken to be well-formed. */
export function segmentsOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** What makes an operation not fit. */
class Unfit extends Error {}

class Patching {
  readonly #root: { body: Json };
  readonly #charsMax: number;
  /** Characters that values have added; what was removed is not taken off. */
  #added = 0;

  constructor(body: JsonObject, charsMax: number) {
    this.#root = { body: structuredClone<Json>(body) };
    this.#charsMax = charsMax;
  }

  apply({ op, path, from, value }: PatchOperation): void {
    const target = parsePointer(path);
    switch (op) {
      case 'add':
        this.#add(target, this.#take(value, op));
        return;
      case 'remove':
        this.#remove(target);
        return;
      case 'replace':
        this.#read(target);
        this.#set(target, this.#take(value, op));
        return;
      case 'test':
        if (value === undefined) throw new Unfit('has no value; test takes one');
        // What is there is not told: who may write need not be allowed to read.
        if (!deepEquals(this.#read(target), value)) throw new Unfit('tests for another value');
        return;
      case 'copy':
        this.#add(target, this.#take(this.#read(sourceOf(op, from)), op));
        return;
      case 'move':
        this.#move(sourceOf(op, from), target);
    }
  }

  result(last: number): JsonObject {
    const { body } = this.#root;
    if (!isObject(body)) throw patchInvalid(last, 'replaces the document by no object');
    return body;
  }

  #move(source: readonly string[], target: readonly string[]): void {
    const isInside = source.length < target.length && source.every((one, at) => one === target[at]);
    if (isInside) throw new Unfit('moves a value into itself');
    const value = this.#read(source);
    if (source.join('/') === target.join('/')) return;
    this.#remove(source);
    this.#add(target, value);
  }

  /** A copy of a value about to be placed, counted. */
  #take(value: Json | undefined, op: string): Json {
    if (value === undefined) throw new Unfit(`has no value; ${op} takes one`);
    this.#added += JSON.stringify(value).length;
    if (this.#added > 2 * this.#charsMax) throw tooLarge(this.#charsMax);
    return structuredClone<Json>(value);
  }

  #read(pointer: readonly string[]): Json {
    let current = this.#root.body;
    for (const name of pointer) current = childOf(current, name);
    return current;
  }

  #holderOf(pointer: readonly string[]): Holder {
    const holder = this.#read(pointer.slice(0, -1));
    if (isArray(holder) || isObject(holder)) return holder as Holder;
    throw new Unfit(`goes through '${pointer.at(-2) ?? ''}', which is neither object nor list`);
  }

  #add(pointer: readonly string[], value: Json): void {
    const name = pointer.at(-1);
    if (name === undefined) {
      this.#root.body = value;
      return;
    }
    const holder = this.#holderOf(pointer);
    if (!Array.isArray(holder)) {
      define(holder, name, value);
      return;
    }
    const at = name === '-' ? holder.length : indexOf(name);
    if (at > holder.length) throw new Unfit(`names element ${name} of ${String(holder.length)}`);
    holder.splice(at, 0, value);
  }

  /** Puts a value where one is. */
  #set(pointer: readonly string[], value: Json): void {
    const name = pointer.at(-1);
    if (name === undefined) {
      this.#root.body = value;
      return;
    }
    const holder = this.#holderOf(pointer);
    if (Array.isArray(holder)) holder[indexOf(name)] = value;
    else define(holder, name, value);
  }

  #remove(pointer: readonly string[]): void {
    const name = pointer.at(-1);
    if (name === undefined) throw new Unfit('removes the whole document; delete it instead');
    this.#read(pointer);
    const holder = this.#holderOf(pointer);
    if (Array.isArray(holder)) holder.splice(indexOf(name), 1);
    else Reflect.deleteProperty(holder, name);
  }
}

function parsePointer(pointer: string): readonly string[] {
  if (!POINTER.test(pointer)) {
    throw new Unfit(`names '${pointer}', which is no JSON Pointer; it starts with '/'`);
  }
  if (pointer.startsWith('/_') && !/^\/__proto__(?:\/|$)/.test(pointer)) {
    throw new Unfit(`names '${pointer}'; names that start with '_' belong to the server`);
  }
  return segmentsOf(pointer);
}

function sourceOf(op: string, from: string | undefined): readonly string[] {
  if (from === undefined) throw new Unfit(`has no 'from'; ${op} takes one`);
  return parsePointer(from);
}

/** An own member or an element; nothing is inherited. */
function childOf(value: Json, name: string): Json {
  if (isArray(value)) {
    const element = value[indexOf(name)];
    if (element === undefined) throw new Unfit(`names element ${name} of ${String(value.length)}`);
    return element;
  }
  if (!isObject(value)) throw new Unfit(`looks for '${name}' in neither object nor list`);
  const member = Object.hasOwn(value, name) ? value[name] : undefined;
  if (member === undefined) throw new Unfit(`names '${name}', which is not there`);
  return member;
}

function indexOf(name: string): number {
  if (INDEX.test(name)) return Number(name);
  throw new Unfit(`names '${name}' in a list, which is no index`);
}

/** Also where the name is `__proto__`, which an assignment would take for something else. */
function define(holder: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(holder, name, {
    ...{ value, configurable: true, enumerable: true, writable: true },
  });
}

function tooLarge(limit: number): DomainError {
  return new DomainError(
    'DOCUMENT_TOO_LARGE',
    `the patch makes the document larger than ${String(limit)} bytes of JSON; copy less`,
    { metadata: { field: 'patch', limit: String(limit) } },
  );
}

function patchInvalid(at: number, problem: string): DomainError {
  const field = `patch[${String(at)}]`;
  return new DomainError('PATCH_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
