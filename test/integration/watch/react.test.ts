import { Window } from 'happy-dom';
import { act, createElement, type ReactNode } from 'react';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createMoltenClient, type MoltenClient } from '../../../src/client/index.ts';
import { useWatch } from '../../../src/client/react.ts';
import { delay } from '../../../src/platform/timers.ts';
import { startTestServer } from '../../support/server.ts';

const page = new Window();

beforeAll(() => {
  Object.assign(globalThis, {
    ...{ window: page, document: page.document, IS_REACT_ACT_ENVIRONMENT: true },
  });
});

afterAll(async () => {
  await page.happyDOM.close();
  for (const name of ['window', 'document']) Reflect.deleteProperty(globalThis, name);
});

function Orders({ client, least }: { client: MoltenClient; least: number }): ReactNode {
  const { status, documents } = useWatch(client, {
    targets: [{ collection: 'orders', where: { total: { $gte: least } } }],
  });
  const keys = [...documents.keys()].sort().join(' ');
  return createElement('p', undefined, `${status}: ${keys}`);
}

describe('useWatch', () => {
  it('shows the documents as they are, and as they become', async () => {
    const { createRoot } = await import('react-dom/client');
    await using server = await startTestServer();
    const token = await server.rootToken();
    const client = createMoltenClient({ url: server.url, token: () => token });
    const put = (key: string, total: number): Promise<unknown> =>
      server.asRoot('PUT', `/v1/collections/orders/documents/${key}`, {
        body: { fields: { total } },
      });
    await put('a', 1);
    await put('b', 20);
    const place = page.document.createElement('div');
    // The same interface as a browser's, which the types do not say.
    const root = createRoot(place);
    const show = async (least: number): Promise<void> => {
      await act(async () => {
        root.render(createElement(Orders, { client, least }));
        await delay(0);
      });
    };
    const until = async (text: string): Promise<void> => {
      for (let look = 0; look < 200 && place.textContent !== text; look++) {
        await act(async () => {
          await delay(10);
        });
      }
      expect(place.textContent).toBe(text);
    };
    await show(10);
    await until('live: orders/b');
    await put('a', 30);
    await put('c', 40);
    await until('live: orders/a orders/b orders/c');
    await put('a', 2);
    await until('live: orders/b orders/c');
    await show(30);
    await until('live: orders/c');
    await server.asRoot('DELETE', '/v1/collections/orders');
    await until('ended: ');
    await act(async () => {
      root.unmount();
      await delay(0);
    });
  }, 30_000);
});
