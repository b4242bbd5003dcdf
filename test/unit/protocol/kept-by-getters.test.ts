/**
 * V8 keeps the getters of object literals where only full collections clean up, with all that they see. One for each call
 * kept its request, answer and documents through every collection of what is young, which made these long.
 */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { ANONYMOUS } from '../../../src/domain/access/principal.ts';
import { createCall, withPrincipal, type CallOrigin } from '../../../src/protocol/call.ts';
import { createDispatcher } from '../../../src/protocol/dispatcher.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { createPage } from '../../../src/storage/query/page.ts';
import { createTopCollector } from '../../../src/storage/query/top.ts';
import { keptOf } from '../../support/kept.ts';
import { QUERY } from '../query/memory-engine.ts';

const { getHealth: method } = SystemService.method;
const request = create(method.input);
const { signal } = new AbortController();
const MADE = 1000;
const NUMBERS = 2000;
const KEPT_MIB = (MADE * NUMBERS * 8) / 1024 / 1024;

/** What a call brings along. */
const newLoad = (): readonly number[] => Array.from({ length: NUMBERS }, (_, at) => at / 3);

function newOrigin(): CallOrigin {
  const load = newLoad();
  return {
    ...({ protocol: 'internal', requestId: 'r', address: '', timeoutMs: undefined } as const),
    ...{ signal, disconnect: () => undefined, header: (name) => load[Number(name)]?.toString() },
  };
}

const dispatcher = createDispatcher({
  services: [],
  interceptors: [() => () => Promise.resolve(create(method.output))],
});

const KINDS: readonly (readonly [string, () => unknown])[] = [
  ['a call', () => dispatcher.dispatch(method, request, newOrigin())],
  ['a known caller', () => withPrincipal(createCall(method, request, newOrigin()), ANONYMOUS)],
  [
    'a page',
    () => {
      const load = newLoad();
      const wrap: typeof createCandidate = (one) => {
        if (load.length === 0) throw new Error('it is there');
        return createCandidate(one);
      };
      return createPage(QUERY, QUERY.order, wrap);
    },
  ],
  [
    'a collector of what comes first',
    () => {
      const load = newLoad();
      return createTopCollector<number>(1, (a, b) => (load[a] ?? 0) - (load[b] ?? 0));
    },
  ],
];

describe('what is made for every call', () => {
  it.each(KINDS)('goes with the first collections after it: %s', async (_, make) => {
    expect(await keptOf(make, MADE)).toBeLessThan(KEPT_MIB / 4);
  });

  it('would be kept by a getter', async () => {
    const make = (): object => {
      const load = newLoad();
      return {
        get first() {
          return load[0];
        },
      };
    };
    expect(await keptOf(make, MADE)).toBeGreaterThan(KEPT_MIB / 2);
  });

  it('has the signal of its origin, also when it is known who calls', () => {
    const call = createCall(method, request, newOrigin());
    expect(call.signal).toBe(signal);
    expect(withPrincipal(call, ANONYMOUS).signal).toBe(signal);
  });
});
