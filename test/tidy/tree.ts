/**
 * Style as a test: what no linter checks, checked on the files of the tree.
 *
 * Each test collects every offender before it fails, so that one run shows all there is to fix.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Folders that hold nothing of ours, or nothing written by hand. */
const IGNORED = new Set([
  '.git',
  'node_modules',
  'dist',
  'dist.new',
  'dist.old',
  'coverage',
  'data',
  'third_party',
  'gen',
]);

const TEXT = new Set(
  '.ts .tsx .js .mjs .cjs .json .yaml .yml .md .proto .css .html .sh .sql .txt'.split(' '),
);

/** One file: its path from the root of the tree, with forward slashes, and its size. */
export interface TreeFile {
  readonly path: string;
  readonly bytes: number;
  /** The content as text; empty for what is not text. */
  readonly text: string;
}

/** Every file of the tree, without what is generated, installed or built. */
export const FILES: readonly TreeFile[] = [...walk(root)].map((file) => {
  const content = readFileSync(file);
  const isText = TEXT.has(extname(file)) || file.endsWith(join('.ci', 'run'));
  return {
    path: relative(root, file).replaceAll('\\', '/'),
    bytes: content.length,
    text: isText ? content.toString('utf8') : '',
  };
});

/** The files whose path matches. */
export function filesLike(pattern: RegExp): readonly TreeFile[] {
  return FILES.filter(({ path }) => pattern.test(path));
}

/** `path:line` of every line that matches, in every given file. */
export function linesLike(files: readonly TreeFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 100)}`] : [],
      ),
  );
}

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (IGNORED.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}
