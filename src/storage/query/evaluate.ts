import type { Candidate } from './candidate.ts';
import type { Filter } from './filter.ts';

/** Decides one document. */
export type Matcher = (candidate: Candidate) => boolean;

/**
 * Compiles a filter once, patterns included; the matcher is pure and may be kept.
 *
 * FILTER_INVALID when a pattern does not compile or its program is too large.
 */
export declare function compileFilter(filter: Filter): Matcher;
