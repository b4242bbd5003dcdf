import { basename } from 'node:path';

import { describe, expect, it } from 'vitest';

import { FILES, filesLike } from './tree.ts';

const LINES_MAX = 400;
const BLOB_BYTES_MAX = 256 * 1024;
/** Files that a tool writes, or that are a fixture on purpose. */
const LARGE = /^(package-lock\.json|test\/fixtures\/)/;
const CODE = /\.(ts|tsx|js|mjs|cjs)$/;

/** Names that say where something was put instead of what it is. */
const VAGUE = /^(utils?|helpers?|commons?|misc|managers?)$/;

describe('files', () => {
  it('keeps every code file within 400 lines', () => {
    const long = filesLike(CODE).filter(
      ({ text }) => text.trimEnd().split('\n').length > LINES_MAX,
    );
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('names files and folders after the thing they hold', () => {
    const vague = FILES.filter(({ path }) =>
      path.split('/').some((part) => part.split(/[.-]/).some((word) => VAGUE.test(word))),
    );
    expect(vague.map(({ path }) => path).filter((path) => !path.startsWith('tsconfig.'))).toEqual(
      [],
    );
  });

  it('writes the names of code files in kebab-case', () => {
    const odd = filesLike(/^(src|cli|test|scripts|bin)\/.*\.(ts|js|mjs)$/).filter(
      ({ path }) => !/^[a-z0-9]+([.-][a-z0-9]+)*$/.test(basename(path)),
    );
    expect(odd.map(({ path }) => path)).toEqual([]);
  });

  it('keeps large blobs out of the history', () => {
    const large = FILES.filter(({ path, bytes }) => bytes > BLOB_BYTES_MAX && !LARGE.test(path));
    expect(large.map(({ path, bytes }) => `${path}: ${bytes} bytes`)).toEqual([]);
  });

  it('ends text files with exactly one newline and no carriage returns', () => {
    const odd = FILES.filter(
      ({ text }) =>
        text !== '' && (!text.endsWith('\n') || text.endsWith('\n\n') || text.includes('\r')),
    );
    expect(odd.map(({ path }) => path)).toEqual([]);
  });
});
