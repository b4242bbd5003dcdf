/** The documents that users follow. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the tree. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

/** Time enough for a page of commands, each in a process of its own. */
export const FOLLOW_MS = 600_000;

/** The fenced blocks of a page in one language, without the indent of the list that they are in. */
export function blocksOf(file: string, language = 'sh'): readonly string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const fence = new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^\\1\`\`\`$`, 'gm');
  return [...text.matchAll(fence)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), '').trim(),
  );
}
