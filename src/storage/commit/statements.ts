/** Statements that all engines with these tables take as they are. */

/** The column `bytes`: of bodies that only the past needs. */
export const HISTORY_BYTES = `SELECT (SELECT coalesce(sum(octet_length(body)), 0) FROM ver WHERE kind = 1)
  - (SELECT coalesce(sum(bytes), 0) FROM collection WHERE retired IS NULL) AS bytes`;

/** Has every index built anew: its entries are not there. */
export const REBUILD_INDEXES = `UPDATE idx SET state = 'building', documents_done = 0, built_to = NULL, failure = ''`;
