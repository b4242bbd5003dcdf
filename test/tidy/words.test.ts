import { describe, expect, it } from 'vitest';

import { FILES, filesLike, linesLike } from './tree.ts';

/** These files name what they forbid. */
const OTHERS = FILES.filter(({ path }) => !path.startsWith('test/tidy/'));
const CODE = OTHERS.filter(({ path }) =>
  /^(src|cli|test|scripts|bin|console)\/.*\.(tsx?|m?js)$/.test(path),
);

/** How many lint rules are switched off. A ceiling that may only fall: lower it with the count. */
const DISABLES_MAX = 0;

describe('words', () => {
  it('reads the environment only in src/config, in tests and in scripts', () => {
    const files = filesLike(/^(src|cli|console)\//).filter(
      ({ path }) => !path.startsWith('src/config/'),
    );
    expect(linesLike(files, /process\.env|from 'node:process'/)).toEqual([]);
  });

  it('names no package registry and no path of one machine', () => {
    const host = /registry\.(npmjs|yarnpkg)|artifactory|\/\/[^/\s]*(registry|pypi|nexus)[^/\s]*\//i;
    const machine = /(^|[\s"'`(=])\/(work|root|home|Users|var\/tmp|tmp\/[a-z])\b/;
    expect(linesLike(OTHERS, host)).toEqual([]);
    expect(linesLike(OTHERS, machine)).toEqual([]);
  });

  it('runs every test: none is skipped, focused or left for later', () => {
    const pattern =
      /\b(describe|it|test|context)\.(skip|only|todo|fails|skipIf|runIf)\b|\b(xit|xdescribe|fit|fdescribe|skip)\(/;
    expect(linesLike(CODE, pattern)).toEqual([]);
  });

  it('marks debt by @TODO with an issue and by nothing else', () => {
    expect(linesLike(CODE, /\b(FIXME|XXX|HACK)\b|(^|[^@])\bTODO\b|@TODO(?!\(#\d+\))/)).toEqual([]);
  });

  it('hides no type error from the compiler', () => {
    expect(linesLike(CODE, /@ts-(ignore|nocheck)|\bas any\b/)).toEqual([]);
  });

  it('gives a reason for each lint rule it switches off, and switches off no more than before', () => {
    const disables = linesLike(CODE, /eslint-disable(?!-enable)/);
    expect(
      disables.filter((line) => !/eslint-disable-(next-)?line [\w@/, -]+ -- \S/.test(line)),
    ).toEqual([]);
    expect(disables.length, 'set DISABLES_MAX to the count').toBe(DISABLES_MAX);
  });

  it('calls things by the words of the glossary', () => {
    const code = filesLike(/^(src|cli)\/.*\.ts$/);
    // A cursor is a page token or a sequence, a backup is a snapshot, a journal is the WAL. Options of
    // MoltenDB keep their names.
    expect(linesLike(code, /\b(cursors?|(?<!post-)backups?|journals?(?!_mode))\b/i)).toEqual([]);
  });
});
