import { describe, expect, it } from 'vitest';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { routesOf } from '../../../src/protocol/rest/route.ts';

describe('an RPC without a route', () => {
  it('is not left out silently, unless it is a stream', () => {
    expect(() => routesOf(Health.method.check)).toThrow('has no google.api.http rule');
    expect(routesOf(Health.method.watch)).toEqual([]);
  });
});
