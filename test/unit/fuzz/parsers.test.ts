/** Whatever is sent is parsed or refused with a reason of the catalogue, and no prototype is changed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect } from 'vitest';

import fc from '../../support/fast-check.ts';
import { explainConfig } from '../../../src/config/explain.ts';
import { judgeConfig } from '../../../src/config/load.ts';
import { OPTIONS } from '../../../src/config/options.ts';
import { writeTemplate } from '../../../src/config/template.ts';
import { parseBody } from '../../../src/domain/documents/body.ts';
import { mergePatch } from '../../../src/domain/documents/change.ts';
import { applyJsonPatch, type PatchOperation } from '../../../src/domain/documents/json-patch.ts';
import { setAt } from '../../../src/domain/documents/set-at.ts';
import { parseFigures } from '../../../src/domain/query/aggregation.ts';
import { parseExtends, parseJoins } from '../../../src/domain/query/join.ts';
import { openPageToken, sealPageToken } from '../../../src/domain/query/page-token.ts';
import { parseQuery } from '../../../src/domain/query/parse-query.ts';
import { parseProjection } from '../../../src/domain/query/projection.ts';
import { parseOrder } from '../../../src/domain/query/sort.ts';
import { parseWhere } from '../../../src/domain/query/where.ts';
import { parseFrame } from '../../../src/protocol/websocket/client-frame.ts';
import { compileFilter } from '../../../src/storage/query/evaluate.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { decodePosition } from '../../../src/storage/query/position.ts';
import { isObject } from '../../../src/storage/query/path.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';
import { fuzz, hostileJson, hostileNames, mayRefuse, mutated } from '../../support/fuzz.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { QUERY, storedDocument } from '../query/memory-engine.ts';

const OPERATORS = ['$and', '$or', '$not', '$nor', '$in', '$nin', '$all', '$gt', '$lte', '$eq'];
const MORE_OPERATORS = [
  '$regex',
  '$options',
  '$exists',
  '$type',
  '$size',
  '$elemMatch',
  '$contains',
];
const parse = (text: string): Json => JSON.parse(text) as Json;
const objectOf = (value: Json): JsonObject => (isObject(value) ? value : { value });

describe('queries', () => {
  const where = hostileJson([...OPERATORS, ...MORE_OPERATORS]);

  fuzz('a filter', { given: fc.tuple(where, hostileJson()), quick: 1000 }, ([text, body]) => {
    mayRefuse(() => {
      const matches = compileFilter(parseWhere(parse(text)));
      matches(createCandidate(storedDocument('k', objectOf(parse(body)))));
    });
  });

  const parts = ['sort', 'fields', 'path', 'direction', 'alias', 'from', 'on', 'name', 'kind'];
  fuzz('the other parts of a query', { given: hostileJson(parts), quick: 500 }, (text) => {
    const value = parse(text);
    mayRefuse(() => parseOrder({ sort: value }, QUERY.order));
    mayRefuse(() => parseProjection({ fields: value, excludedFields: undefined }));
    mayRefuse(() => parseProjection({ fields: undefined, excludedFields: value }));
    mayRefuse(() => parseJoins(value));
    mayRefuse(() => parseExtends(value));
    mayRefuse(() => parseFigures({ groupBy: value, metrics: [{ name: 'n', kind: 'count' }] }));
    mayRefuse(() => parseFigures({ groupBy: [], metrics: value }));
    mayRefuse(() => parseQuery(objectOf(value)));
  });

  const binding = { key: Buffer.alloc(32, 7), context: 'query' };
  const token = sealPageToken('AQBhAA', QUERY, binding);
  const tokens = fc.oneof(
    mutated(fc.constant(token)),
    fc.string({ unit: 'binary', maxLength: 80 }),
  );
  fuzz('a page token', { given: tokens, quick: 1000 }, (text) => {
    mayRefuse(() => {
      const position = openPageToken(text, QUERY, binding);
      // Nobody guesses a signature.
      expect(text === '' || text === token).toBe(true);
      expect(position).toBe(text === '' ? undefined : 'AQBhAA');
    });
  });

  const positions = fc.oneof(mutated(fc.constant('AQBhAA')), fc.base64String({ maxLength: 60 }));
  fuzz('a position', { given: positions, quick: 500 }, (text) => {
    mayRefuse(() => decodePosition(QUERY.order, text));
  });
});

describe('documents', () => {
  const CHARS_MAX = 10_000;
  fuzz('a body', { given: mutated(hostileJson()), quick: 500 }, (text) => {
    mayRefuse(() => parseBody(text, 'json', CHARS_MAX));
  });

  fuzz('a merge patch', { given: fc.tuple(hostileJson(), hostileJson()) }, ([body, change]) => {
    const [target, patch] = [objectOf(parse(body)), objectOf(parse(change))];
    const before = JSON.stringify(target);
    const merged = mergePatch(target, patch);
    // What was read stays as it was; the same patch twice is the patch once (RFC 7396).
    expect(JSON.stringify(target)).toBe(before);
    expect(JSON.stringify(mergePatch(merged, patch))).toBe(JSON.stringify(merged));
  });

  const pointer = fc
    .array(hostileNames(['value', '-', '01', '~0', '~1', '~2']), { maxLength: 4 })
    .map((parts) => parts.map((part) => `/${part}`).join(''));
  const op = fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'other');
  const operation = fc.tuple(op, pointer, pointer, hostileJson());
  const patches = fc.tuple(hostileJson(), fc.array(operation, { maxLength: 5 }));
  fuzz('a JSON patch', { given: patches, quick: 1000 }, ([body, operations]) => {
    const target = objectOf(parse(body));
    const before = JSON.stringify(target);
    const patch = operations.map(([op, path, from, value]) => ({
      op,
      path,
      from,
      value: parse(value),
    }));
    mayRefuse(() => applyJsonPatch(target, patch as readonly PatchOperation[], CHARS_MAX));
    expect(JSON.stringify(target)).toBe(before);
  });

  const paths = fc.array(hostileNames(['value', '0', '-1']), { minLength: 1, maxLength: 5 });
  fuzz('a member set by its path', { given: fc.tuple(hostileJson(), paths) }, ([body, path]) => {
    mayRefuse(() => setAt(objectOf(parse(body)), path, { set: true }));
  });
});

describe('frames of a WebSocket', () => {
  const actions = ['action', 'AUTH', 'SUBSCRIBE', 'UNSUBSCRIBE', 'ACK', 'token', 'id', 'watch'];
  const member = hostileJson(['toString', 'valueOf']);
  const action = fc.constantFrom('AUTH', 'SUBSCRIBE', 'UNSUBSCRIBE', 'ACK');
  // Members that each action reads, so that it gets to read them.
  const whole = fc
    .tuple(action, member, member, member)
    .map(
      ([name, resumeToken, token, feed]) =>
        `{"action":"${name}","id":"x","resumeToken":${resumeToken},"token":${token},"feed":${feed}}`,
    );
  const frames = fc.oneof(whole, hostileJson(actions), mutated(hostileJson(actions)));
  fuzz('one from a client', { given: frames, quick: 500 }, (text) => {
    const frame = parseFrame(text);
    expect('error' in frame || 'action' in frame).toBe(true);
  });
});

describe('the configuration', () => {
  const names = OPTIONS.map(({ name }) => name);
  const line = fc
    .tuple(hostileNames(names), hostileJson(names))
    .map(([key, value]) => `${key} = ${value}`);
  const sample = writeTemplate().replaceAll(/^# (?=[a-z-]+ = )/gm, '');
  const texts = fc.oneof(
    fc.array(line, { maxLength: 5 }).map((lines) => lines.join('\n')),
    mutated(fc.constant(sample)),
    fc.string({ unit: 'binary', maxLength: 100 }),
  );
  fuzz('a file of it', { given: texts, quick: 200 }, (text) => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, text, { mode: 0o600 });
    const sources = { flags: { config }, environment: {} };
    for (const { key, problem } of judgeConfig(sources).faults) expect(key + problem).not.toBe('');
    explainConfig(sources);
  });

  const variables = fc.dictionary(
    hostileNames(names).map((name) => `MOLTENDB_${name.toUpperCase().replaceAll('-', '_')}`),
    fc.oneof(hostileNames(), hostileJson()),
    { maxKeys: 6 },
  );
  fuzz('variables', { given: variables }, (environment) => {
    judgeConfig({ flags: {}, environment });
  });

  // Known again in any part of it, however it is cut.
  const KNOWN = 'hunter2';
  const around = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.string({
      unit: fc.constantFrom(...Array.from(' ,;:/?#@&=%\'"\\[]<>|*0123456789')),
      maxLength: 8,
    }),
  );
  const address = fc.record({
    scheme: fc.constantFrom('postgres', 'https', 'http', 'ldaps', 'redis'),
    user: fc.constantFrom('app', 'u', ''),
    password: fc.tuple(around, around).map(([before, after]) => `${before}${KNOWN}${after}`),
    rest: fc.constantFrom('host/db', 'db.example.org:5432/db?sslmode=disable', '[::1]/a@b'),
  });
  const secrets = OPTIONS.filter(({ isSecret }) => isSecret).map(({ name }) => name);
  const forms = [...names, ...secrets.map((name) => `${name}-file`), 'config'];
  const given = fc.oneof(
    fc.constantFrom(...forms).map((name) => [name]),
    fc.constant(names),
    fc.subarray(forms),
  );
  fuzz('an address with a password', { given: fc.tuple(address, given) }, ([parts, options]) => {
    const text = `${parts.scheme}://${parts.user}:${parts.password}@${parts.rest}`;
    const flags = Object.fromEntries(options.map((name) => [name, text]));
    const sources = { flags, environment: {} };
    const { options: explained, faults: unusable } = explainConfig(sources);
    const { faults, warnings } = judgeConfig(sources);
    expect(JSON.stringify([explained, unusable, faults, warnings])).not.toContain(KNOWN);
  });
});
