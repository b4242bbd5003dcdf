import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { ROOT, startTestServer } from '../../support/server.ts';

describe('a token that was verified before', () => {
  it('ends when it expires, over every way in', async () => {
    const clock = createManualClock(Date.now());
    await using server = await startTestServer({}, { clock });
    const body = { ...ROOT, ttl: '60s' };
    const { token } = (await server.request('POST', '/v1/sessions', { body })).body as {
      readonly token: string;
    };
    const ask = (): Promise<readonly number[]> =>
      Promise.all([
        server.request('GET', '/v1/status', { token }).then(({ status }) => status),
        server.request('GET', '/stats', { token }).then(({ status }) => status),
        server
          .request('POST', '/molten.v1.SystemService/GetStatus', { token, body: {} })
          .then(({ status }) => status),
      ]);
    expect(await ask()).toEqual([200, 200, 200]);
    clock.advance(59_000);
    expect(await ask()).toEqual([200, 200, 200]);
    clock.advance(1000);
    expect(await ask()).toEqual([401, 401, 401]);
  });
});
