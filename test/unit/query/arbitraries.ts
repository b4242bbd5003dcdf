import fc from '../../support/fast-check.ts';
import type { Filter } from '../../../src/storage/query/filter.ts';
import type { Order, Path } from '../../../src/storage/query/query.ts';
import {
  toSequence,
  type IndexField,
  type IndexRecord,
  type Json,
  type StoredDocument,
} from '../../../src/storage/types.ts';
import { indexOf, storedDocument } from './memory-engine.ts';

/** Few values that meet often, among them the ones that break naive encodings and foldings. */
const TEXTS = [
  ...['', 'a', 'A', 'ab', 'Ab', 'aC', 'b', 'B', 'k', '\u212a', 'σας', 'ΣΑΣ', 'ΣΑΣα', 'İ', 'i'],
  ...['\0', 'a\0', 'a\0b', 'a\u0001', '\ud83d', '😀', '\ue000', '\uffff', '\u{10ffff}'],
  ...['z'.repeat(512), 'z'.repeat(513), `${'z'.repeat(600)}y`, `${'z'.repeat(600)}x`],
] as const;
const NUMBERS = [0, -0, 1, -1, 1.5, 2, 10, -1e300, 1e300, 5e-324, 0.1 + 0.2, 2 ** 53] as const;

export const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 4 }) },
);
export const number: fc.Arbitrary<number> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NUMBERS) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
);
/** So few that documents and filters often share one. */
const CORE: readonly Json[] = [null, false, 1, 2, 10, 'a', 'A', 'b'];
export const scalar: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...CORE) },
  fc.constant(null),
  fc.boolean(),
  { weight: 3, arbitrary: number },
  { weight: 3, arbitrary: text },
);
export const value: fc.Arbitrary<Json> = fc.oneof(
  { weight: 8, arbitrary: scalar },
  fc.array(scalar, { maxLength: 3 }),
  fc.array(fc.record({ x: scalar }), { maxLength: 2 }),
  fc.record({ x: scalar, y: scalar }, { requiredKeys: [] }),
);

const NAMES = ['a', 'b', 'c'] as const;
export const path: fc.Arbitrary<Path> = fc.constantFrom<Path[]>(
  ...[['a'], ['b'], ['c'], ['a', 'x'], ['b', '0'], ['_key']],
);

/** Bodies with the members a, b and c, each of which may be missing. */
export const body: fc.Arbitrary<Json> = fc.record(
  { a: value, b: fc.oneof(fc.constantFrom(1, 2, 'a', 'A'), value), c: fc.oneof(number, value) },
  { requiredKeys: [] },
);

/** A collection with distinct keys in mixed insertion order. */
export const collection: fc.Arbitrary<readonly StoredDocument[]> = fc
  .array(body, { minLength: 2, maxLength: 12, size: 'max' })
  .map((bodies) =>
    bodies.map((item, at) =>
      storedDocument(`k${String((at * 7) % 13)}`, item, { createdSequence: toSequence(at + 1) }),
    ),
  );

type Leaf = Exclude<Filter, { readonly kind: 'and' | 'or' | 'not' }>;

const equality = fc.constantFrom('eq' as const, 'ne' as const);
const range = fc.constantFrom('gt' as const, 'gte' as const, 'lt' as const, 'lte' as const);
const ordered = fc.oneof(fc.constantFrom(1, 2, 'a', 'B'), number, text);

/** A condition on one path, of any kind but `elemMatch`. */
export function leafOn(where: Path): fc.Arbitrary<Leaf> {
  return fc.oneof<fc.Arbitrary<Leaf>[]>(
    fc.tuple(equality, value).map(([op, operand]) => ({
      ...({ kind: 'compare', path: where, op, value: operand } as const),
    })),
    fc.tuple(range, ordered).map(([op, operand]) => ({
      ...({ kind: 'compare', path: where, op, value: operand } as const),
    })),
    fc
      .tuple(fc.constantFrom('in', 'nin'), fc.array(value, { maxLength: 4 }))
      .map(([kind, values]) => ({ kind, path: where, values })),
    fc.constant({ kind: 'isNull', path: where }),
    fc.boolean().map((exists) => ({ kind: 'exists', path: where, exists })),
    fc.tuple(fc.constantFrom('startsWith', 'endsWith'), text).map(([kind, part]) => ({
      ...({ kind, path: where, value: part } as const),
    })),
    scalar.map((item) => ({ kind: 'contains', path: where, value: item })),
    fc.array(scalar, { maxLength: 2 }).map((values) => ({ kind: 'all', path: where, values })),
    fc.nat({ max: 3 }).map((size) => ({ kind: 'size', path: where, size })),
    fc
      .tuple(fc.constantFrom('a', '^a', 'b$', '.'), fc.constantFrom('', 'i', 's'))
      .map(([pattern, flags]) => ({ kind: 'regex', path: where, pattern, flags })),
  );
}

const anyLeaf: fc.Arbitrary<Filter> = path.chain(leafOn);

/** Filters of every kind, a few levels deep. */
const tree: fc.Arbitrary<Filter> = fc.letrec<{ node: Filter }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 4, arbitrary: anyLeaf },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom('and', 'and', 'or'), fc.array(tie('node'), { maxLength: 3 }))
        .map(([kind, clauses]): Filter => ({ kind, clauses })),
    },
    tie('node').map((clause): Filter => ({ kind: 'not', clause })),
    fc.tuple(path, tie('node')).map(([where, clause]): Filter => ({
      ...({ kind: 'elemMatch', path: where, clause } as const),
    })),
  ),
})).node;

/** What planners narrow by: conditions on the plain members, all of which must hold. */
const conjunction: fc.Arbitrary<Filter> = fc
  .array(fc.constantFrom<Path[]>(['a'], ['b'], ['c']).chain(leafOn), {
    ...{ minLength: 1, maxLength: 3, size: 'max' },
  })
  .map((clauses) => ({ kind: 'and', clauses }));

/** Filters of every kind, most of them of the kind that indexes serve. */
export const filter: fc.Arbitrary<Filter> = fc.oneof(tree, { weight: 2, arbitrary: conjunction });

const direction = fc.constantFrom('asc' as const, 'desc' as const);

/** Fields of an index: distinct paths. */
export const indexFields: fc.Arbitrary<readonly IndexField[]> = fc
  .uniqueArray(fc.constantFrom(...NAMES, ...NAMES, 'a.x', '_key'), { minLength: 1, maxLength: 3 })
  .chain((paths) =>
    fc
      .array(direction, { minLength: paths.length, maxLength: paths.length })
      .map((directions) =>
        paths.map((name, at) => ({ path: name, direction: directions[at] ?? 'asc' })),
      ),
  );

/** Orders of every kind but `asked`. */
export const order: fc.Arbitrary<Order> = fc.oneof(
  fc.record({ by: fc.constant('key' as const), direction }),
  fc.record({ by: fc.constant('insertion' as const), direction }),
  {
    weight: 3,
    arbitrary: fc.record({
      by: fc.constant('fields' as const),
      fields: fc.array(
        fc.record({
          path: fc.oneof(path, fc.constantFrom<Path[]>(['a'], ['b'], ['c'])),
          direction,
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
);

/** One case for a planner: documents, indexes, and a filter and order aimed at both. */
export interface PlanCase {
  readonly documents: readonly StoredDocument[];
  readonly indexes: readonly IndexRecord[];
  readonly filter: Filter;
  readonly order: Order;
}

const AIMS = ['eq', 'in', 'gte', 'lte', 'between', 'startsWith', 'exists'] as const;
const aim = fc.record({
  document: fc.nat({ max: 11 }),
  name: fc.constantFrom(...NAMES),
  op: fc.constantFrom('eq' as const, ...AIMS),
});

/** A condition that at least one document fulfils, because it is made from that document. */
function aimed(
  documents: readonly StoredDocument[],
  { document, name, op }: { readonly document: number; readonly name: string; readonly op: string },
): Filter {
  const target = documents[document % Math.max(documents.length, 1)];
  const members = target === undefined ? {} : (JSON.parse(target.body) as Record<string, Json>);
  const found = members[name] ?? null;
  const where = [name];
  const bound = typeof found === 'number' || typeof found === 'string' ? found : 1;
  const from: Filter = { kind: 'compare', path: where, op: 'gte', value: bound };
  const to: Filter = { kind: 'compare', path: where, op: 'lte', value: bound };
  switch (op) {
    case 'eq':
      return { kind: 'compare', path: where, op: 'eq', value: found };
    case 'in':
      return { kind: 'in', path: where, values: [found, 1, 'A'] };
    case 'gte':
      return from;
    case 'lte':
      return to;
    case 'between':
      return { kind: 'and', clauses: [from, to] };
    case 'startsWith':
      return typeof found === 'string'
        ? { kind: 'startsWith', path: where, value: found.slice(0, 1) }
        : from;
    default:
      return { kind: 'exists', path: where, exists: members[name] !== undefined };
  }
}

/** Cases in which indexes are used and something is found, next to entirely random ones. */
export const planCase: fc.Arbitrary<PlanCase> = fc
  .record({
    documents: collection,
    indexes: fc.array(indexFields, { minLength: 1, maxLength: 3, size: 'max' }),
    aims: fc.array(aim, { minLength: 1, maxLength: 2, size: 'max' }),
    isAimed: fc.constantFrom(true, true, false),
    random: fc.record({ filter, order }),
    along: fc.record({
      from: fc.constantFrom(0, 1, 1, 2),
      reverse: fc.boolean(),
      use: fc.constantFrom(true, true, false),
    }),
  })
  .map(({ documents, indexes, aims, isAimed, random, along }) => {
    const records = indexes.map((fields, at) => indexOf(`i${String(at)}`, fields));
    // The first aim is at the leading field of the first index, so that it often bounds the walk.
    const leading = NAMES.find((name) => name === indexes[0]?.[0]?.path);
    const clauses = aims.map((item, at) =>
      aimed(documents, at === 0 && leading !== undefined ? { ...item, name: leading } : item),
    );
    const fields = (indexes[0] ?? []).slice(along.from).map((field) => ({
      path: field.path.split('.'),
      direction:
        along.reverse === (field.direction === 'asc') ? ('desc' as const) : ('asc' as const),
    }));
    return {
      ...{ documents, indexes: records },
      filter: isAimed ? { kind: 'and', clauses } : random.filter,
      order: along.use && fields.length > 0 ? { by: 'fields', fields } : random.order,
    };
  });
