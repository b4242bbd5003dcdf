import { describe, expect, it } from 'vitest';

import {
  applyPatch,
  DEFAULT_RULES,
  fromSettings,
  toSettings,
  type CollectionRules,
  type RulesPatch,
} from '../../../src/domain/collections/rules.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { InvariantError } from '../../../src/errors/invariant.ts';

const FULL: CollectionRules = {
  schema: { text: '{"type":"object"}', enforcement: 'warn' },
  ttlMs: 60_000,
  documentTtl: { field: ['meta', 'at'], afterMs: 0 },
  maxSize: 10,
};

describe('stored rules', () => {
  it.each([
    ['none', DEFAULT_RULES],
    ['all', FULL],
    [
      'a document ttl without a field',
      { ...DEFAULT_RULES, documentTtl: { field: undefined, afterMs: 5 } },
    ],
  ])('come back as they were: %s', (_, rules) => {
    expect(fromSettings(toSettings(rules))).toEqual(rules);
  });

  it('leave the bound on documents to the engine', () => {
    expect(toSettings(FULL).documentsMax).toBe(10);
    expect(toSettings(FULL).rules).not.toContain('10,');
  });

  it.each([
    '[]',
    'null',
    '{"ttl":1}',
    '{"ttlMs":-1}',
    '{"ttlMs":1.5}',
    '{"ttlMs":"1"}',
    '{"schema":{"text":{},"enforcement":"warn"}}',
    '{"schema":{"text":"{}","enforcement":"maybe"}}',
    '{"schema":{"text":"{}"}}',
    '{"documentTtl":{"afterMs":1,"field":"a..b"}}',
    '{"documentTtl":{"field":"a"}}',
    '{"documentTtl":{"afterMs":1,"other":1}}',
  ])('are not guessed at: %s', (rules) => {
    expect(() => fromSettings({ documentsMax: undefined, rules })).toThrow(InvariantError);
  });
});

describe('a change of rules', () => {
  it.each<[string, RulesPatch, Partial<CollectionRules>]>([
    ['nothing', {}, {}],
    ['the ttl alone', { ttlMs: 1000 }, { ttlMs: 1000 }],
    [
      'a setting away',
      { ttlMs: undefined, maxSize: undefined },
      { ttlMs: undefined, maxSize: undefined },
    ],
    [
      'the schema, keeping its mode',
      { schema: '{}' },
      { schema: { text: '{}', enforcement: 'warn' } },
    ],
    [
      'the mode, keeping the schema',
      { enforcement: 'enforce' },
      { schema: { text: '{"type":"object"}', enforcement: 'enforce' } },
    ],
    [
      'the mode to its default',
      { enforcement: undefined },
      { schema: { text: '{"type":"object"}', enforcement: 'enforce' } },
    ],
    ['the schema away, with its mode', { schema: undefined }, { schema: undefined }],
  ])('takes %s', (_, patch, expected) => {
    expect(applyPatch(FULL, patch)).toEqual({ ...FULL, ...expected });
  });

  it('enforces a new schema unless told otherwise', () => {
    expect(applyPatch(DEFAULT_RULES, { schema: '{}' }).schema?.enforcement).toBe('enforce');
  });

  it.each<[string, RulesPatch, string]>([
    ['a mode without a schema', { enforcement: 'warn' }, 'settings.schemaEnforcement'],
    [
      'a mode without its schema',
      { schema: undefined, enforcement: 'warn' },
      'settings.schemaEnforcement',
    ],
    [
      'documents gone once written',
      { documentTtl: { field: undefined, afterMs: 0 } },
      'settings.documentTtl.after',
    ],
    [
      'a system field to count from',
      { documentTtl: { field: ['_modifiedAt'], afterMs: 1 } },
      'settings.documentTtl.field',
    ],
  ])('refuses %s and names it', (_, patch, field) => {
    const refused = (): unknown => applyPatch(DEFAULT_RULES, patch);
    expect(refused).toThrow(
      expect.objectContaining({ reason: 'ARGUMENT_INVALID', metadata: { field } }) as Error,
    );
  });

  it('refuses a schema that cannot be used', () => {
    try {
      applyPatch(DEFAULT_RULES, { schema: '{"type":"strin"}' });
    } catch (error) {
      expect(hasReason(error, 'SCHEMA_INVALID')).toBe(true);
      return;
    }
    throw new Error('the schema was taken');
  });
});
