import { DomainError } from '../../errors/domain-error.ts';
import { createCandidate, type Candidate } from '../../storage/query/candidate.ts';
import { compileFilter, type Matcher } from '../../storage/query/evaluate.ts';
import type { Filter } from '../../storage/query/filter.ts';
import { compileShown } from '../../storage/query/project.ts';
import type { Projection } from '../../storage/query/query.ts';
import type { LogEntry, StoredDocument } from '../../storage/types.ts';
import { missingScope, type Principal } from '../access/principal.ts';
import type { ScopeSet } from '../access/scope-set.ts';
import { checkCollectionName, checkKey } from '../collections/names.ts';
import { permitKeys, permittedKeys } from '../documents/permission.ts';
import { parseProjection } from '../query/projection.ts';
import { parseWhere } from '../query/where.ts';
import { demandFilter } from '../visibility/asked.ts';
import { visibilityAnywhere, visibilityOf, type Visibility } from '../visibility/visibility.ts';
import type { ChangeKind, WatchedChange, WatchRequest, WatchTarget } from './model.ts';

/** Targets of one watch. */
export const TARGETS_MAX = 32;
const KEYS_MAX = 1000;

/** What concerns one watcher. */
export interface Interest {
  /** The collections that are named; undefined: all. */
  readonly collections: ReadonlySet<string> | undefined;
  /** Judging a change takes what it replaced. */
  readonly needsPrevious: boolean;
  readonly targets: readonly CompiledTarget[];
  /** A field that a filter asks about has been hidden from the caller since: it is shown nothing more. */
  isBlinded(): boolean;
  /** The change as the watcher sees it; undefined when it does not concern it. */
  judge(entry: LogEntry): WatchedChange | undefined;
  /** The caller may read the document. */
  mayShow(document: StoredDocument): boolean;
  /** The document belongs to this target. */
  covers(target: CompiledTarget, document: StoredDocument): boolean;
  /** What of the documents of a collection exists for the watcher. */
  visibility(collection: string): Visibility;
  /** The document as the watcher sees it. */
  show(document: StoredDocument): StoredDocument;
}

/** A target that was checked. */
export interface CompiledTarget {
  readonly collection: string;
  readonly keys: ReadonlySet<string>;
  readonly keyPrefix: string;
  readonly filter: Filter;
  /** Undefined: every document matches. */
  readonly matches: Matcher | undefined;
}

/**
 * Checks the targets of a request. SCOPE_MISSING when the caller may read nothing of a target, or not
 * a key or a hidden field that it names; FILTER_INVALID, KEY_INVALID or ARGUMENT_INVALID for a malformed
 * one.
 */
export function createInterest(principal: Principal, request: WatchRequest): Interest {
  const { targets, withPrevious } = request;
  if (targets.length === 0 || targets.length > TARGETS_MAX) {
    const limit = TARGETS_MAX.toString();
    throw invalid('targets', `are ${targets.length.toString()}; wants 1 to ${limit}`);
  }
  const compiled = targets.map((target, at) =>
    compile(principal, target, `targets[${String(at)}]`),
  );
  const projection = parseProjection({ fields: request.fields });
  for (const { collection } of targets) {
    const visibility = visibilityIn(principal, collection);
    for (const path of projection?.paths ?? []) {
      visibility.demandVisible(path, { argument: 'fields', use: 'presence' });
    }
  }
  return new TargetInterest({ principal, targets: compiled, projection, withPrevious });
}

/** A target without a name may be of any collection. */
function visibilityIn(principal: Principal, collection: string): Visibility {
  return collection === '' ? visibilityAnywhere(principal) : visibilityOf(principal, collection);
}

function compile(principal: Principal, target: WatchTarget, field: string): CompiledTarget {
  const { collection, keys, keyPrefix, where } = target;
  if (collection === '') {
    if (!principal.scopes.reachesAny('read')) {
      throw missingScope(principal, { action: 'read', collection: '*', key: '*' });
    }
  } else {
    checkCollectionName(collection, `${field}.collection`);
    permittedKeys(principal, 'read', collection);
  }
  if (keys.length > KEYS_MAX) {
    throw invalid(`${field}.keys`, `are ${String(keys.length)}; wants at most ${String(KEYS_MAX)}`);
  }
  for (const key of keys) checkKey(key, `${field}.keys`);
  if (collection !== '') permitKeys(principal, 'read', { collection, keys });
  const filter = parseWhere(where, `${field}.where`);
  const visibility = visibilityIn(principal, collection);
  demandFilter({ visibility, collection: collection || '*' }, filter, `${field}.where`);
  const matches = where === undefined ? undefined : compileFilter(filter);
  return { collection, keys: new Set(keys), keyPrefix, filter, matches };
}

interface InterestParts {
  readonly principal: Principal;
  readonly targets: readonly CompiledTarget[];
  readonly projection: Projection | undefined;
  readonly withPrevious: boolean;
}

type Shower = ReturnType<typeof compileShown>;

class TargetInterest implements Interest {
  readonly #parts: InterestParts;
  readonly #showers = new WeakMap<Visibility, Shower>();
  #checked: ScopeSet;
  #isBlinded = false;
  readonly collections: ReadonlySet<string> | undefined;
  readonly needsPrevious: boolean;

  constructor(parts: InterestParts) {
    this.#parts = parts;
    this.#checked = parts.principal.scopes;
    const names = parts.targets.map(({ collection }) => collection);
    this.collections = names.includes('') ? undefined : new Set(names);
    this.needsPrevious =
      parts.withPrevious || parts.targets.some(({ matches }) => matches !== undefined);
  }

  get targets(): readonly CompiledTarget[] {
    return this.#parts.targets;
  }

  judge(entry: LogEntry): WatchedChange | undefined {
    const { collection, kind } = entry;
    if (collection.startsWith('$')) return undefined;
    if (kind === 'clearCollection' || kind === 'dropCollection') {
      return this.#mayReadSome(collection)
        ? bare(entry, kind === 'clearCollection' ? 'cleared' : 'dropped')
        : undefined;
    }
    if ((kind !== 'put' && kind !== 'delete') || this.isBlinded()) return undefined;
    // As they are now: what was granted when the watch began may have been taken since.
    if (!this.#parts.principal.scopes.covers('read', collection, entry.key)) return undefined;
    return this.#judgeDocument(entry);
  }

  isBlinded(): boolean {
    const { scopes } = this.#parts.principal;
    // A set of scopes that changes is another set.
    if (scopes !== this.#checked) {
      this.#checked = scopes;
      this.#isBlinded = !this.#parts.targets.every((target) => this.#mayAsk(target));
    }
    return this.#isBlinded;
  }

  #mayAsk({ collection, filter }: CompiledTarget): boolean {
    const visibility = visibilityIn(this.#parts.principal, collection);
    try {
      demandFilter({ visibility, collection: collection || '*' }, filter, 'where');
      return true;
    } catch {
      return false;
    }
  }

  mayShow({ collection, key }: StoredDocument): boolean {
    if (this.isBlinded()) return false;
    return this.#parts.principal.scopes.covers('read', collection, key);
  }

  covers(target: CompiledTarget, document: StoredDocument): boolean {
    return covers(target, document, document);
  }

  visibility(collection: string): Visibility {
    return visibilityOf(this.#parts.principal, collection);
  }

  show(document: StoredDocument): StoredDocument {
    const visibility = this.visibility(document.collection);
    if (this.#parts.projection === undefined) return visibility.show(document);
    return this.#shower(visibility)(candidateOf(document));
  }

  #shower(visibility: Visibility): Shower {
    let shower = this.#showers.get(visibility);
    if (shower === undefined) {
      shower = compileShown(this.#parts.projection, [], visibility.hidden);
      this.#showers.set(visibility, shower);
    }
    return shower;
  }

  #judgeDocument(entry: LogEntry): WatchedChange | undefined {
    const { withPrevious } = this.#parts;
    const after = entry.kind === 'put' ? documentAfter(entry) : undefined;
    const isNow = after !== undefined && this.#concerns(entry, after);
    const wasBefore = this.#wasMatched(entry);
    if (!isNow && !wasBefore) return undefined;
    const kind = kindOf(isNow, wasBefore, after !== undefined);
    const make = (): WatchedChange => ({
      ...bare(entry, kind),
      ...(isNow ? { document: this.show(after) } : {}),
      ...(withPrevious && entry.previous ? { previous: this.show(entry.previous) } : {}),
    });
    // All who see the whole document see the same change.
    const showsWhole = this.#parts.projection === undefined;
    if (!showsWhole || !this.visibility(entry.collection).isWhole) return make();
    return shared(entry, `${kind} ${String(withPrevious)}`, make);
  }

  #wasMatched(entry: LogEntry): boolean {
    if (!this.needsPrevious) {
      return entry.previousSequence !== 0n && this.#concerns(entry, undefined);
    }
    return entry.previous !== undefined && this.#concerns(entry, entry.previous);
  }

  /** A target covers the key and, when it has a filter, the document matches it. */
  #concerns(entry: LogEntry, document: StoredDocument | undefined): boolean {
    return this.#parts.targets.some((target) => covers(target, entry, document));
  }

  #mayReadSome(collection: string): boolean {
    if (this.collections !== undefined && !this.collections.has(collection)) return false;
    return this.#parts.principal.scopes.reaches('read', collection);
  }
}

function covers(
  target: CompiledTarget,
  { collection, key }: { readonly collection: string; readonly key: string },
  document: StoredDocument | undefined,
): boolean {
  if (target.collection !== '' && target.collection !== collection) return false;
  if (target.keys.size > 0 && !target.keys.has(key)) return false;
  if (!key.startsWith(target.keyPrefix)) return false;
  if (target.matches === undefined || document === undefined) return true;
  return target.matches(candidateOf(document));
}

function kindOf(isNow: boolean, wasBefore: boolean, exists: boolean): ChangeKind {
  if (isNow) return wasBefore ? 'changed' : 'entered';
  return exists ? 'left' : 'deleted';
}

function bare(entry: LogEntry, kind: ChangeKind): WatchedChange {
  const { collection, key, sequence, cause } = entry;
  const isCreation = entry.kind === 'put' && entry.previousSequence === 0n;
  const nothing = { document: undefined, previous: undefined };
  return { kind, collection, key, sequence, cause, isCreation, ...nothing };
}

const changes = new WeakMap<LogEntry, Map<string, WatchedChange>>();

/** The change of an entry by its name, made once for all watchers. */
function shared(entry: LogEntry, name: string, make: () => WatchedChange): WatchedChange {
  let known = changes.get(entry);
  if (known === undefined) {
    known = new Map();
    changes.set(entry, known);
  }
  let change = known.get(name);
  if (change === undefined) {
    change = make();
    known.set(name, change);
  }
  return change;
}

/** One document of many watchers is made and parsed once. */
const documents = new WeakMap<LogEntry, StoredDocument>();
const candidates = new WeakMap<StoredDocument, Candidate>();

function documentAfter(entry: LogEntry): StoredDocument {
  let document = documents.get(entry);
  if (document === undefined) {
    const { collection, key, version, sequence, createdSequence, createdAtMs, body } = entry;
    document = {
      ...{ collection, key, version, sequence, createdSequence, createdAtMs, body },
      ...{ modifiedAtMs: entry.timestampMs, expiresAtMs: entry.expiresAtMs },
    };
    documents.set(entry, document);
  }
  return document;
}

function candidateOf(document: StoredDocument): Candidate {
  let candidate = candidates.get(document);
  if (candidate === undefined) {
    candidate = createCandidate(document);
    candidates.set(document, candidate);
  }
  return candidate;
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
