import { describe, expect, it } from 'vitest';

import { PAGE_TOKEN_CHARS_MAX } from '../../../src/domain/query/limits.ts';
import { openPageToken, sealPageToken } from '../../../src/domain/query/page-token.ts';
import { parseWhere } from '../../../src/domain/query/where.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { POSITION_CHARS_MAX } from '../../../src/storage/query/position.ts';
import type { Query } from '../../../src/storage/query/query.ts';
import { QUERY } from './memory-engine.ts';

const BINDING = { key: Buffer.alloc(32, 7), context: 'query' };
const ASKED: Query = { ...QUERY, filter: parseWhere({ a: 1, b: { $in: ['x', 'y'] } }) };
const TOKEN = sealPageToken('AQBhAA', ASKED, BINDING);

function isRefused(token: string, query: Query = ASKED, binding = BINDING): boolean {
  try {
    openPageToken(token, query, binding);
  } catch (error) {
    return hasReason(error, 'PAGE_TOKEN_INVALID');
  }
  return false;
}

describe('a page token', () => {
  it('opens to its position for the same arguments, however they are written', () => {
    expect(openPageToken(TOKEN, ASKED, BINDING)).toBe('AQBhAA');
    const reordered = { ...ASKED, filter: parseWhere({ b: { $in: ['x', 'y'] }, a: 1 }) };
    expect(openPageToken(TOKEN, reordered, BINDING)).toBe('AQBhAA');
    expect(openPageToken('', ASKED, BINDING)).toBeUndefined();
  });

  it('lets the page size, the bounds and the access change', () => {
    const access = { kind: 'some', keys: [], prefixes: ['a'] } as const;
    const limits = { ...ASKED.limits, timeMs: 1 };
    expect(isRefused(TOKEN, { ...ASKED, limit: 7, access, limits, total: true })).toBe(false);
  });

  it('is refused for other arguments', () => {
    const changes: readonly Partial<Query>[] = [
      { collection: 'others' },
      { keyPrefix: 'a' },
      { keys: ['a'] },
      { filter: parseWhere({ a: 2, b: { $in: ['x', 'y'] } }) },
      { filter: parseWhere({ a: 1, b: { $in: ['y', 'x'] } }) },
      { order: { by: 'key', direction: 'desc' } },
      { projection: { kind: 'include', paths: [['a']] } },
    ];
    for (const change of changes) expect(isRefused(TOKEN, { ...ASKED, ...change })).toBe(true);
    expect(isRefused(TOKEN, ASKED, { ...BINDING, context: 'list' })).toBe(true);
    expect(isRefused(TOKEN, ASKED, { ...BINDING, key: Buffer.alloc(32, 8) })).toBe(true);
  });

  it('is refused when any character of it is changed, cut or added', () => {
    for (let at = 0; at < TOKEN.length; at++) {
      const other = TOKEN[at] === 'A' ? 'B' : 'A';
      expect(isRefused(`${TOKEN.slice(0, at)}${other}${TOKEN.slice(at + 1)}`)).toBe(true);
    }
    for (const forged of [TOKEN.slice(1), `${TOKEN}A`, 'AQBhAA', '%', 'é'.repeat(50)]) {
      expect(isRefused(forged)).toBe(true);
    }
  });

  it('has room for the longest position', () => {
    expect(POSITION_CHARS_MAX + 43).toBeLessThanOrEqual(PAGE_TOKEN_CHARS_MAX);
    expect(TOKEN).toMatch(/^[A-Za-z0-9_-]+$/);
  });
});
