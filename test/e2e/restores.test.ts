/** What an operator brings back while the server goes on. */
import { describe, expect, it } from 'vitest';

import { countOf, fill, placeIn, serve } from '../support/operator.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

describe('an operator', () => {
  it('brings a collection of a running server back under another name', async () => {
    using directory = createTemporaryDirectory();
    const place = placeIn(directory.path);
    const { molten } = place;
    await using server = await serve(place);
    await fill(place);
    const { sequence } = await molten.json<{ readonly sequence: string }>('status');
    await molten('collections', 'drop', 'orders', '--yes');
    const looked = await molten.json<{ readonly differences: object[] }>(
      ...['restores', 'preview', '--to-sequence', sequence],
    );
    expect(looked.differences).toMatchObject([{ collection: 'orders', removed: 200 }]);
    const to = ['--to-sequence', sequence];
    const brought = await molten('restores', 'create', 'orders', 'orders-then', ...to);
    expect(brought.code, brought.stderr).toBe(0);
    expect(await countOf(molten, 'orders-then')).toBe(200);
    expect(server.url).not.toBe('');
  });
});
