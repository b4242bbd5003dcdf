import type { Json } from '../types.ts';
import type { Path } from './query.ts';

/** How two values compare. Only values of the same type compare by range; others never match. */
export type Comparison = 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte';

/**
 * A condition on one document, already validated: every operator known, every operand of its right
 * type, every pattern compiled once by who evaluates it. `{ kind: 'and', clauses: [] }` matches all.
 *
 * Strings compare case-insensitively (Unicode lower case) in `eq`, `ne`, `in`, `nin`, `contains` on a
 * string, `startsWith` and `endsWith`, and by the code points of their lower case in ranges, so that
 * `gte` and `lte` of the same string together mean `eq`. Numbers compare by value. A missing field is
 * null for `eq`, `ne`, `in` and `nin`.
 */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly clauses: readonly Filter[] }
  | { readonly kind: 'not'; readonly clause: Filter }
  | { readonly kind: 'compare'; readonly path: Path; readonly op: Comparison; readonly value: Json }
  | { readonly kind: 'isNull'; readonly path: Path }
  | { readonly kind: 'in' | 'nin'; readonly path: Path; readonly values: readonly Json[] }
  | { readonly kind: 'contains'; readonly path: Path; readonly value: Json }
  | { readonly kind: 'all'; readonly path: Path; readonly values: readonly Json[] }
  | { readonly kind: 'exists'; readonly path: Path; readonly exists: boolean }
  | { readonly kind: 'startsWith' | 'endsWith'; readonly path: Path; readonly value: string }
  | {
      readonly kind: 'regex';
      readonly path: Path;
      readonly pattern: string;
      readonly flags: string;
    }
  | { readonly kind: 'size'; readonly path: Path; readonly size: number }
  | { readonly kind: 'elemMatch'; readonly path: Path; readonly clause: Filter };

/** The filter that matches every document. */
export const MATCH_ALL: Filter = { kind: 'and', clauses: [] };
