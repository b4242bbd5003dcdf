/**
 * What a request asks about, checked against what exists for the caller. A field is refused by its name
 * alone, also where it would make no difference: nothing is read before.
 */
import type { Filter } from '../../storage/query/filter.ts';
import { intoElements, isHiddenAt, walkTo, type HiddenPlace } from '../../storage/query/hidden.ts';
import type { Metric, Order, Path, Projection } from '../../storage/query/query.ts';
import type { Json } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { JoinRequest } from '../query/join.ts';
import { hiddenField, visibilityOf, type PathUse, type Visibility } from './visibility.ts';

/** The parts of a request that name fields. */
export interface AskedParts {
  readonly filter?: Filter | undefined;
  readonly order?: Order | undefined;
  readonly projection?: Projection | undefined;
  readonly joins?: readonly JoinRequest[] | undefined;
  readonly groupBy?: readonly Path[] | undefined;
  readonly metrics?: readonly Metric[] | undefined;
}

/** SCOPE_MISSING when a part names a field that is hidden in documents of `collection`, or in joined ones. */
export function demandAsked(principal: Principal, collection: string, parts: AskedParts): void {
  const { joins = [] } = parts;
  const own: View = { collection, visibility: visibilityOf(principal, collection) };
  const joined = new Map(
    joins.map(({ alias, from }): [string, View] => [
      alias,
      { collection: from, visibility: visibilityOf(principal, from) },
    ]),
  );
  const isWhole = [own, ...joined.values()].every(({ visibility }) => visibility.isWhole);
  if (!isWhole) new Asking(own, joined).demand(parts);
}

/** SCOPE_MISSING when a filter names a hidden field; for filters that no join goes with. */
export function demandFilter(
  { visibility, collection }: View,
  filter: Filter,
  argument: string,
): void {
  if (visibility.isWhole) return;
  new Asking({ visibility, collection }, new Map()).demandFilter(filter, argument);
}

/** Documents of one collection, as far as they exist for the caller. */
export interface View {
  /** Its name, for errors. */
  readonly collection: string;
  readonly visibility: Visibility;
}

/** What a path may address: in the document itself, or in a joined one. */
interface Found {
  readonly collection: string;
  readonly place: HiddenPlace;
  readonly isHidden: boolean;
}

/** What the paths of a filter start from: a document, or the elements that `elemMatch` looks at. */
interface Subject {
  readonly argument: string;
  readonly above: Path;
  readonly find: (path: Path) => readonly Found[];
}

class Asking {
  readonly #own: View;
  readonly #joined: ReadonlyMap<string, View>;

  constructor(own: View, joined: ReadonlyMap<string, View>) {
    this.#own = own;
    this.#joined = joined;
  }

  demand(parts: AskedParts): void {
    const { filter, order, projection, joins = [] } = parts;
    for (const join of joins) this.#demandJoin(join);
    if (filter !== undefined) this.demandFilter(filter, 'where');
    if (order?.by === 'fields') this.#demandPaths(order.fields.map(pathOf), value('sort'));
    if (projection !== undefined) {
      const argument = projection.kind === 'exclude' ? 'excludedFields' : 'fields';
      this.#demandPaths(projection.paths, presence(argument));
    }
    this.#demandFigures(parts);
  }

  demandFilter(filter: Filter, argument: string): void {
    checkFilter(filter, { argument, above: [], find: (path) => this.#find(path) });
  }

  #demandFigures({ groupBy = [], metrics = [] }: AskedParts): void {
    this.#demandPaths(groupBy, value('groupBy'));
    for (const { kind, path } of metrics) {
      if (path === undefined) continue;
      this.#demandPaths([path], kind === 'count' ? presence('metrics') : value('metrics'));
    }
  }

  #demandJoin({ alias, on, fields = [] }: JoinRequest): void {
    this.#own.visibility.demandVisible(on, value('joins'));
    const from = this.#joined.get(alias)?.visibility;
    for (const path of fields) from?.demandVisible(path, presence('joins'));
  }

  #demandPaths(paths: readonly Path[], { argument, use }: PathUse): void {
    for (const path of paths) {
      for (const { collection, place, isHidden } of this.#find(path)) {
        const isParent = !isHidden && use === 'value' && place.length > 0;
        if (isHidden || isParent) throw hiddenField(collection, path, { argument, isParent });
      }
    }
  }

  /** An alias hides a member of its name only where a document was joined: both may be meant. */
  #find(path: Path): readonly Found[] {
    const [first = '', ...rest] = path;
    const joined = this.#joined.get(first);
    const own = look(this.#own, path);
    return joined === undefined ? [own] : [own, look(joined, rest)];
  }
}

function look({ collection, visibility }: View, path: Path): Found {
  const place = walkTo(visibility.root, path);
  return { collection, place, isHidden: visibility.isHidden(path) };
}

function pathOf({ path }: { readonly path: Path }): Path {
  return path;
}

function value(argument: string): PathUse {
  return { argument, use: 'value' };
}

function presence(argument: string): PathUse {
  return { argument, use: 'presence' };
}

function checkFilter(filter: Filter, subject: Subject): void {
  switch (filter.kind) {
    case 'and':
    case 'or':
      for (const clause of filter.clauses) checkFilter(clause, subject);
      return;
    case 'not':
      checkFilter(filter.clause, subject);
      return;
    case 'elemMatch':
      checkElements(filter, subject);
      return;
    default:
      checkLeaf(filter, subject);
  }
}

type Leaf = Exclude<Filter, { readonly kind: 'and' | 'or' | 'not' | 'elemMatch' }>;

function checkLeaf(leaf: Leaf, { argument, above, find }: Subject): void {
  for (const { collection, place, isHidden } of find(leaf.path)) {
    const isParent = !isHidden && place.length > 0 && looksInside(leaf, place);
    const path = [...above, ...leaf.path];
    if (isHidden || isParent) throw hiddenField(collection, path, { argument, isParent });
  }
}

function checkElements(
  { path, clause }: Extract<Filter, { kind: 'elemMatch' }>,
  { argument, above, find }: Subject,
): void {
  const elements = find(path).map(({ collection, place, isHidden }) => {
    if (!isHidden) return { collection, place: intoElements(place) };
    throw hiddenField(collection, [...above, ...path], { argument, isParent: false });
  });
  checkFilter(clause, {
    ...{ argument, above: [...above, ...path] },
    find: (below) =>
      elements.map(({ collection, place: start }) => {
        const place = walkTo(start, below);
        return { collection, place, isHidden: isHiddenAt(place) };
      }),
  });
}

/** Reports whether a condition on an object or a list depends on what is in it, and not only on its kind. */
function looksInside(leaf: Leaf, place: HiddenPlace): boolean {
  switch (leaf.kind) {
    case 'compare':
      return isStructure(leaf.value);
    case 'in':
    case 'nin':
      return leaf.values.some(isStructure);
    case 'contains':
      return isStructure(leaf.value) || isHiddenAt(intoElements(place));
    case 'all':
      return leaf.values.some(isStructure) || isHiddenAt(intoElements(place));
    default:
      return false;
  }
}

/** Only an object or a list can be equal to one. */
function isStructure(operand: Json): boolean {
  return typeof operand === 'object' && operand !== null;
}
