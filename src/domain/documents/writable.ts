import type { Visibility } from '../visibility/visibility.ts';
import type { DocumentChange } from './change.ts';
import { segmentsOf, type PatchOperation } from './json-patch.ts';
import type { WriteStep } from './steps.ts';

/**
 * SCOPE_MISSING when a step names a field that is hidden from its writer, or takes a whole that holds one.
 * What only shows once the step is carried out is refused then.
 */
export function demandWritable(visibility: Visibility, step: WriteStep): void {
  if (visibility.isWhole) return;
  if (step.kind === 'update') demandChange(visibility, step.change);
  if (step.kind !== 'set') return;
  const { body, extensions } = step.content;
  visibility.demandUnnamed(body.value, 'body');
  for (const { alias } of extensions) {
    visibility.demandVisible([alias], { argument: 'extends', use: 'presence' });
  }
}

function demandChange(visibility: Visibility, { merge, patch, transforms }: DocumentChange): void {
  if (merge !== undefined) visibility.demandUnnamed(merge.value, 'merge');
  const paths = merge?.paths.kind === 'paths' ? merge.paths.paths : [];
  for (const path of paths) {
    visibility.demandVisible(path, { argument: 'mergePaths', use: 'presence' });
  }
  for (const [at, operation] of patch.entries()) {
    demandOperation(visibility, operation, `patch[${String(at)}]`);
  }
  for (const { path } of transforms) {
    visibility.demandVisible(path, { argument: 'transforms', use: 'presence' });
  }
}

function demandOperation(
  visibility: Visibility,
  { op, path, from }: PatchOperation,
  argument: string,
): void {
  const use = op === 'test' ? 'value' : 'presence';
  visibility.demandVisible(segmentsOf(path), { argument, use });
  if (from !== undefined) {
    visibility.demandVisible(segmentsOf(from), { argument, use: 'value' });
  }
}
