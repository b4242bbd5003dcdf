/** Rows of the first batch of a walk. */
export const BATCH_MIN = 16;
const BATCH_MAX = 256;
/** About this much of bodies is held of one batch. */
const BATCH_CHARS = 2 * 1024 * 1024;

/** How many rows to ask for next: batches grow as long as bodies are small. */
export function nextBatch(rows: readonly { readonly body: string | null }[]): number {
  const chars = rows.reduce((sum, { body }) => sum + (body?.length ?? 0), 0);
  const fitting = Math.floor((BATCH_CHARS * rows.length) / Math.max(chars, 1));
  return Math.max(1, Math.min(rows.length * 4, fitting, BATCH_MAX));
}
