/**
 * What of the documents of a collection exists for a principal. Scopes `hide:collection:field` take fields
 * away; everything that shows documents, asks about them or writes them goes through here.
 *
 * Three rules keep a hidden field from being probed. What names it is refused, before anything is read.
 * What is shown lacks it, in a form that does not tell whether it was there. And a write is computed on
 * what its writer can see; hidden values are put back afterwards (`keep-hidden`), where nothing that the
 * writer can observe depends on them.
 *
 * When documents expire is hidden with any field of theirs: it may be counted from that field, or have
 * been under earlier settings. The other system fields are always there.
 */
import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import {
  hiddenRoot,
  isHiddenAt,
  stripBody,
  stripText,
  walkTo,
  type HiddenPlace,
} from '../../storage/query/hidden.ts';
import { formatPath, isSystemField } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { JsonObject, StoredDocument } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import { parseScope } from '../access/scope.ts';
import type { ScopeSet } from '../access/scope-set.ts';
import { keepHidden, type BodyText, type Omission } from './keep-hidden.ts';
import { hiddenNameIn } from './named.ts';

/** What a request does with a path. */
export interface PathUse {
  /** The argument that names it, such as `sort`. */
  readonly argument: string;
  /**
   * `value` looks at the whole value, so that the parents of a hidden field are refused too; `presence`
   * only at whether it is there, or below it.
   */
  readonly use: 'value' | 'presence';
}

/** What of the documents of one collection, or of one kind of request, exists for a principal. */
export interface Visibility {
  /** Every field exists: nothing has to be done. */
  readonly isWhole: boolean;
  /** What storage leaves out of results; undefined when nothing is. */
  readonly hidden: readonly Path[] | undefined;
  /** Where walks through documents start. */
  readonly root: HiddenPlace;
  /** A document as the principal sees it. */
  show(document: StoredDocument): StoredDocument;
  showBody(body: JsonObject): JsonObject;
  /** Reports whether a path is hidden, or lies below something hidden. */
  isHidden(path: Path): boolean;
  /** SCOPE_MISSING when a path is hidden, or its value would show something hidden. */
  demandVisible(path: Path, use: PathUse): void;
  /** SCOPE_MISSING when a body has a hidden member. */
  demandUnnamed(body: JsonObject, argument: string): void;
  /**
   * The body to store when a principal writes `body` over `stored`: with everything that it cannot see.
   * SCOPE_MISSING when the body has a hidden member, or leaves no place for a hidden one.
   */
  keepHidden(body: BodyText, stored: StoredDocument | undefined, omission: Omission): BodyText;
}

/** What of a collection exists for a principal. Costs nothing for those from whom nothing is hidden. */
export function visibilityOf({ scopes }: Principal, collection: string): Visibility {
  const fields = scopes.hiddenFields(collection);
  return fields.length === 0 ? EVERYTHING : compiled(collection, fields);
}

/** What exists for a principal in documents of whichever collection: hidden is what is hidden in any. */
export function visibilityAnywhere({ scopes }: Principal): Visibility {
  const fields = hidingsOf(scopes);
  return fields.length === 0 ? EVERYTHING : compiled('*', fields);
}

/** SCOPE_MISSING for a principal from whom anything is hidden: `what` takes documents as they are. */
export function demandNothingHidden({ scopes }: Principal, what: string): void {
  if (hidingsOf(scopes).length === 0) return;
  throw new DomainError(
    'SCOPE_MISSING',
    `${what} takes documents with all their fields, and some are hidden from this token`,
  );
}

/** The failure of a request that names a hidden field, or a parent of one. */
export function hiddenField(
  collection: string,
  path: Path,
  { argument, isParent }: { readonly argument: string; readonly isParent: boolean },
): DomainError {
  const field = formatPath(path);
  const named = field === '' ? 'takes the whole document' : `names '${field}'`;
  const problem = isParent
    ? `${named}, which holds fields of '${collection}' that are hidden from this token`
    : `${named}, a field of '${collection}' that is hidden from this token`;
  return new DomainError('SCOPE_MISSING', `${argument} ${problem}`, {
    metadata: { collection, field },
    violations: [{ field: argument, description: problem }],
  });
}

function hidingsOf({ texts }: ScopeSet): readonly string[] {
  return texts
    .filter((text) => text.startsWith('hide:'))
    .map(parseScope)
    .flatMap((scope) => (scope.kind === 'hiding' ? [scope.field] : []));
}

/** Collections and what is hidden in them; callers name what collections they like. */
const COMPILED_MAX = 1000;
/** Compiled once, however many documents a request touches and whoever makes it. */
const known = new LRUCache<string, Visibility>({ max: COMPILED_MAX });

function compiled(collection: string, fields: readonly string[]): Visibility {
  const name = JSON.stringify([collection, ...fields]);
  const visibility = known.get(name) ?? new PartialVisibility(collection, fields);
  known.set(name, visibility);
  return visibility;
}

class PartialVisibility implements Visibility {
  readonly isWhole = false;
  readonly hidden: readonly Path[];
  readonly root: HiddenPlace;
  readonly #collection: string;

  constructor(collection: string, fields: readonly string[]) {
    this.#collection = collection;
    this.hidden = fields.map((field) => field.split('.')).filter((path) => !isSystem(path));
    this.root = hiddenRoot(this.hidden);
  }

  show(document: StoredDocument): StoredDocument {
    return { ...document, body: stripText(document, this.root), expiresAtMs: undefined };
  }

  showBody(body: JsonObject): JsonObject {
    return stripBody(body, this.root);
  }

  isHidden(path: Path): boolean {
    return isExpiry(path) || isHiddenAt(walkTo(this.root, path));
  }

  demandVisible(path: Path, { argument, use }: PathUse): void {
    const isHidden = this.isHidden(path);
    const isParent = !isHidden && use === 'value' && walkTo(this.root, path).length > 0;
    if (isHidden || isParent) throw hiddenField(this.#collection, path, { argument, isParent });
  }

  demandUnnamed(body: JsonObject, argument: string): void {
    const named = hiddenNameIn(body, this.root);
    if (named === undefined) return;
    throw hiddenField(this.#collection, named, { argument, isParent: false });
  }

  keepHidden(body: BodyText, stored: StoredDocument | undefined, omission: Omission): BodyText {
    this.demandUnnamed(body.value, 'body');
    if (stored === undefined) return body;
    const { root } = this;
    return keepHidden(body, stored, {
      ...{ root, omission },
      lost: (path) => hiddenField(this.#collection, path, { argument: 'body', isParent: true }),
    });
  }
}

function isExpiry(path: Path): boolean {
  return path.length === 1 && path[0] === '_expiresAt';
}

function isSystem(path: Path): boolean {
  return path.length === 1 && isSystemField(path[0]);
}

const EVERYTHING: Visibility = {
  ...{ isWhole: true, hidden: undefined, root: [] },
  show: (document) => document,
  showBody: (body) => body,
  isHidden: () => false,
  demandVisible: () => undefined,
  demandUnnamed: () => undefined,
  keepHidden: (body) => body,
};
