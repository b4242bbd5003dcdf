import { existsSync } from 'node:fs';
import { posix } from 'node:path';

import { describe, expect, it } from 'vitest';

import { REASONS } from '../../src/errors/reason.ts';
import { FILES, filesLike } from './tree.ts';

const DOCUMENTS = filesLike(/\.md$/);
const DECISION_LINES_MAX = 80;
const CHANGELOG_SECTIONS = new Set([
  'Added',
  'Changed',
  'Fixed',
  'Removed',
  'Security',
  'Migration',
]);

/** The headings of one level, without those inside fenced code. */
function headings(text: string, level: number): string[] {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '');
  const pattern = new RegExp(`^#{${level}} (.+)$`, 'gm');
  return [...prose.matchAll(pattern)].map(([, title]) => title ?? '');
}

function textOf(path: string): string {
  const file = FILES.find((candidate) => candidate.path === path);
  if (file === undefined) throw new Error(`${path} is missing`);
  return file.text;
}

describe('documents', () => {
  it('gives each document exactly one title, in its first line', () => {
    const odd = DOCUMENTS.filter(
      ({ text }) => headings(text, 1).length !== 1 || !text.startsWith('# '),
    );
    expect(odd.map(({ path }) => path)).toEqual([]);
  });

  it('links only to files that are there', () => {
    const broken = DOCUMENTS.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)/g)]
        .map(([, target]) => posix.join(posix.dirname(path), target ?? ''))
        .filter((target) => !existsSync(new URL(`../../${target}`, import.meta.url)))
        .map((target) => `${path} links to ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('explains each reason of the catalogue once, in its order', () => {
    const explained = headings(textOf('docs/reference/errors.md'), 3).map((title) =>
      title.replaceAll('`', ''),
    );
    expect(explained).toEqual([...REASONS]);
  });

  it('keeps each decision short and numbers them without a gap', () => {
    const decisions = filesLike(/^docs\/decisions\/\d{4}-.*\.md$/);
    const long = decisions.filter(
      ({ text }) => text.trimEnd().split('\n').length > DECISION_LINES_MAX,
    );
    expect(long.map(({ path }) => path)).toEqual([]);
    const numbers = decisions.map(({ path }) => Number(posix.basename(path).slice(0, 4)));
    expect(numbers.sort((a, b) => a - b)).toEqual(numbers.map((_, index) => index + 1));
  });
});

describe('the changelog', () => {
  const text = textOf('CHANGELOG.md');

  it('has one section per release, newest first, below the unreleased one', () => {
    const [first, ...releases] = headings(text, 2);
    expect(first).toBe('Unreleased');
    for (const release of releases)
      expect(release).toMatch(/^\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)$/);
    const dates = releases.map((release) => release.slice(-11, -1));
    expect(dates).toEqual([...dates].sort().reverse());
  });

  it('sorts what changed under the known words', () => {
    expect(headings(text, 3).filter((title) => !CHANGELOG_SECTIONS.has(title))).toEqual([]);
  });
});
