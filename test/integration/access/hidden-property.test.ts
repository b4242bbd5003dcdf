/**
 * Two collections of the same store hold the same documents but for hidden values, at random. Whoever
 * cannot see those gets the same answers from both, to whatever it asks and whatever it writes; and what
 * it writes loses no hidden value.
 */
import { expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import type { Principal } from '../../../src/domain/access/principal.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { createCatalog } from '../../../src/domain/collections/catalog.ts';
import { encodeBody } from '../../../src/domain/documents/body.ts';
import type { DocumentChange } from '../../../src/domain/documents/change.ts';
import { createDocuments, type Documents } from '../../../src/domain/documents/documents.ts';
import { DOCUMENT_LIMITS } from '../../../src/domain/documents/parts.ts';
import type { WriteStep } from '../../../src/domain/documents/steps.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { createIdSource } from '../../../src/platform/ids.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { body, hiddenIn, hidingPattern, path, twinOf } from './hidden-twins.ts';

interface Opened extends AsyncDisposable {
  readonly documents: Documents;
}

async function open(): Promise<Opened> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine = await openEmbeddedStore({ directory: directory.path, clock });
  const documents = createDocuments({
    ...{ engine, clock, catalog: createCatalog({ engine, clock }), ids: createIdSource(clock) },
    ...{ limits: DOCUMENT_LIMITS, pageTokenKey: new Uint8Array(32), strict: false },
    onSchemaWarning: () => undefined,
  });
  return {
    documents,
    async [Symbol.asyncDispose]() {
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

function principal(scopes: readonly string[]): Principal {
  return {
    ...{ kind: 'token', subject: 'u', tokenId: 't', expiresAtMs: Infinity },
    scopes: createScopeSet(scopes),
  };
}

const signal = new AbortController().signal;
const WRITING = { signal, durability: 'async', request: undefined, validateOnly: false } as const;
const ROOT = principal(['*:*:*']);

const operand = fc.oneof(fc.constantFrom<Json[]>(null, 1, 2, 'x', 'y'), body);
const leaf = fc
  .oneof(
    fc.tuple(path, fc.constantFrom('$eq', '$ne', '$gt', '$lte', '$contains'), operand),
    fc.tuple(path, fc.constantFrom('$exists'), fc.boolean()),
    fc.tuple(path, fc.constantFrom('$size'), fc.nat(3)),
  )
  .map(([at, operator, wanted]): Json => {
    const isRange = operator === '$gt' || operator === '$lte';
    return { [at]: { [operator]: isRange && typeof wanted !== 'number' ? 1 : wanted } };
  });
const filter = fc.oneof(
  leaf,
  fc.tuple(path, leaf).map(([at, inner]): Json => ({ [at]: { $elemMatch: inner } })),
  fc.array(leaf, { minLength: 1, maxLength: 2 }).map((clauses): Json => ({ $or: clauses })),
  leaf.map((inner): Json => ({ $not: inner })),
);
const paths = fc.array(path, { maxLength: 2 });
const question = fc.record({
  where: fc.option(filter, { nil: undefined }),
  sort: fc.array(path, { maxLength: 1 }),
  fields: paths,
  excludedFields: paths,
  joinOn: fc.option(path, { nil: undefined }),
  groupBy: fc.array(path, { maxLength: 1 }),
  figure: fc.tuple(fc.constantFrom('count', 'sum', 'min', 'distinct'), path),
});

const pointer = path.map((at) => `/${at.replaceAll('.', '/')}`);
const patch = fc.record({
  op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
  ...{ path: fc.oneof(pointer, fc.constantFrom('/a/-', '')), from: pointer, value: operand },
});
const NO_CHANGE: DocumentChange = { merge: undefined, patch: [], transforms: [] };
const merge = (value: JsonObject, paths: 'patch' | 'replace' | string[]): DocumentChange => ({
  ...NO_CHANGE,
  merge: {
    value,
    paths:
      typeof paths === 'string'
        ? { kind: paths }
        : { kind: 'paths', paths: paths.map((one) => one.split('.')) },
  },
});
const change: fc.Arbitrary<DocumentChange> = fc.oneof(
  fc
    .tuple(body, fc.constantFrom('patch' as const, 'replace' as const))
    .map(([one, how]) => merge(one, how)),
  fc.tuple(body, fc.array(path, { minLength: 1, maxLength: 2 })).map(([one, at]) => merge(one, at)),
  fc.array(patch, { minLength: 1, maxLength: 3 }).map((one) => ({ ...NO_CHANGE, patch: one })),
  fc
    .tuple(fc.constantFrom('increment' as const, 'unset' as const, 'removeAll' as const), path)
    .map(([kind, at]) => {
      const more = { path: at.split('.'), by: 1, values: [1, { a: 1 }] };
      return { ...NO_CHANGE, transforms: [{ kind, ...more }] };
    }),
);
const write: fc.Arbitrary<JsonObject | DocumentChange> = fc.oneof(body, change);

/** An answer or a refusal, without the name of the collection. */
async function told(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof DomainError) || error.reason === 'INTERNAL') throw error;
    return `${error.reason} ${error.message.replaceAll('other', 'one')}`;
  }
}

type Question = typeof question extends fc.Arbitrary<infer Q> ? Q : never;

async function ask(
  documents: Documents,
  who: Principal,
  about: { collection: string; question: Question },
): Promise<unknown> {
  const { collection, question: asked } = about;
  const { where, sort, fields, joinOn, groupBy, figure } = asked;
  const context = { principal: who, signal };
  const common = {
    ...{ collection, where, atSequence: undefined },
    joins: joinOn === undefined ? [] : [{ alias: 'j', from: collection, on: joinOn }],
  };
  const excludedFields = fields.length > 0 ? [] : asked.excludedFields;
  const query = {
    ...{
      ...common,
      sort,
      fields,
      excludedFields,
      keys: undefined,
      keyPrefix: '',
      order: undefined,
    },
    ...{ pageSize: 2, pageToken: '', offset: 0, total: true },
  };
  const page = await told(async () => {
    const { page: found } = await documents.reads.query(context, 'Q', query);
    const { total, cost } = found;
    return {
      total,
      examined: cost.examined,
      bodies: found.documents.map(({ body: text }) => text),
    };
  });
  const figures = await told(async () => {
    const [kind, at] = figure;
    const metrics = [{ name: 'n', kind, path: at }];
    return (await documents.reads.aggregate(context, { ...common, groupBy, metrics })).groups;
  });
  return { page, figures };
}

async function bodiesOf(
  documents: Documents,
  who: Principal,
  about: { collection: string; keys: readonly string[] },
): Promise<readonly string[]> {
  const request = { ...about, fields: [], atSequence: undefined };
  const { documents: found } = await documents.reads.get({ principal: who, signal }, request);
  return found.map((one) => one?.body ?? '');
}

const setting = (collection: string, key: string, value: JsonObject): WriteStep => ({
  ...{ kind: 'set', collection, key, precondition: undefined },
  content: { body: encodeBody(value, 'body', 1_000_000), extensions: [] },
});

let run = 0;

it('tells nothing of hidden values, by answers or by writes, and loses none', async () => {
  await using opened = await open();
  const { documents } = opened;
  const choice = fc.constantFrom('keep' as const, 'drop' as const, 'change' as const);
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        bodies: fc.array(body, { minLength: 1, maxLength: 3 }),
        hidden: fc.array(path, { minLength: 1, maxLength: 2 }),
        choices: fc.array(choice, { minLength: 1, maxLength: 5 }),
        questions: fc.array(question, { maxLength: 2 }),
        writes: fc.array(write, { maxLength: 3 }),
      }),
      async ({ bodies, hidden, choices, questions, writes }) => {
        const pattern = hidingPattern(hidden);
        const names = [`one${String(run)}`, `other${String(run++)}`] as const;
        const who = principal([...['admin:*:*'], ...hidden.map((field) => `hide:*:${field}`)]);
        const keys = bodies.map((_, at) => `k${String(at)}`);
        const twins = [bodies, bodies.map((one) => twinOf(one, pattern, choices))] as const;
        for (const [side, collection] of names.entries()) {
          const steps = keys.map((key, at) => setting(collection, key, twins[side]?.[at] ?? {}));
          await documents.writes.write({ ...WRITING, principal: ROOT }, steps);
        }
        const alike = async (look: (collection: string) => Promise<unknown>): Promise<void> => {
          expect(await look(names[1])).toEqual(await look(names[0]));
        };
        for (const one of questions) {
          await alike((collection) => ask(documents, who, { collection, question: one }));
        }
        for (const one of writes) {
          const before = await Promise.all(
            names.map((collection) => bodiesOf(documents, ROOT, { collection, keys })),
          );
          await alike((collection) =>
            told(async () => {
              const target = { collection, key: 'k0' };
              const step: WriteStep = isChange(one)
                ? {
                    kind: 'update',
                    ...target,
                    change: one,
                    missing: 'fail',
                    precondition: undefined,
                  }
                : setting(collection, 'k0', one);
              const { results } = await documents.writes.write({ ...WRITING, principal: who }, [
                step,
              ]);
              return results.map(({ version }) => version);
            }),
          );
          await alike((collection) => bodiesOf(documents, who, { collection, keys }));
          const after = await Promise.all(
            names.map((collection) => bodiesOf(documents, ROOT, { collection, keys })),
          );
          expect(after.map((all) => secrets(all, pattern))).toEqual(
            before.map((all) => secrets(all, pattern)),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
}, 120_000);

function isChange(one: JsonObject | DocumentChange): one is DocumentChange {
  return 'transforms' in one;
}

/** All hidden values; a hidden null of a list may have come with a new element. */
function secrets(bodies: readonly string[], pattern: RegExp): readonly string[] {
  return bodies
    .flatMap((text) => hiddenIn(JSON.parse(text) as Json, pattern))
    .filter((text) => text !== 'null')
    .sort();
}
