/** The bounds of one query, all inclusive. `docs/concepts/queries.md` lists them for users. */

/** Levels of nesting of a filter, literals included. */
export const FILTER_DEPTH_MAX = 32;
/** Conditions and combinations in one filter. */
export const FILTER_CLAUSES_MAX = 1000;
/** Values in one `$in`, `$nin` or `$all`. */
export const FILTER_VALUES_MAX = 1000;
/** Sort fields of one query. */
export const SORT_FIELDS_MAX = 16;
/** Paths of one projection. */
export const FIELDS_MAX = 256;
/** Joins of one query. */
export const JOINS_MAX = 16;
/** References of one `extends`. */
export const EXTENDS_MAX = 16;
/** Characters of an alias. */
export const ALIAS_CHARS_MAX = 64;
/** Documents on a page when nothing is asked. */
export const COUNT_DEFAULT = 100;
/** Documents on a page. */
export const COUNT_MAX = 1000;
/** Matches skipped before a page. */
export const OFFSET_MAX = 100_000;
/** Paths to group by. */
export const GROUP_BY_MAX = 8;
/** Figures of one aggregation. */
export const METRICS_MAX = 32;
/** Characters of the name of a figure. */
export const METRIC_NAME_CHARS_MAX = 64;
/** Groups of one aggregation, and distinct values of one figure. */
export const GROUPS_MAX = 10_000;
/** Characters of a page token. */
export const PAGE_TOKEN_CHARS_MAX = 8192;
