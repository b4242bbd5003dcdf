/** Hidden fields in what watches tell, over every protocol that carries them. */
import { describe, expect, it } from 'vitest';

import { changesOf, recordWatch, watchClient } from '../../support/watching.ts';
import { openSocket } from '../../support/web-socket.ts';
import { openScene, SECRETS, type HiddenScene } from './hidden-scene.ts';

const PATH = '/v1/collections/employees/documents/ann';

async function merge(scene: HiddenScene, fields: object): Promise<void> {
  const { status } = await scene.server.asRoot('PATCH', PATH, { change: { merge: fields } });
  expect(status).toBe(200);
}

const told = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));

describe('a watch', () => {
  it('tells documents, changes and what was before without what is hidden', async () => {
    await using scene = await openScene();
    await using watch = await recordWatch(watchClient(scene.server.url, scene.token), {
      targets: [{ collection: 'employees', keys: ['ann'] }],
      start: { case: 'initialState', value: true },
      includePrevious: true,
    });
    await watch.until((all) => all.some(({ documents }) => documents.length > 0));
    await merge(scene, { salary: 765432100000, pay: { base: 711111100000 } });
    await merge(scene, { name: 'Eve' });
    const messages = await watch.until((all) => changesOf(all).length === 2);
    const shown = messages.flatMap(({ documents }) => documents);
    expect(shown.map(({ content }) => content.value)).toMatchObject([{ name: 'Ann' }]);
    const [hidden, visible] = changesOf(messages);
    // A change of hidden fields alone is told as a change of nothing: versions go on.
    expect(hidden?.document?.content.value).toEqual(hidden?.previous?.content.value);
    expect(visible?.document?.content.value).toMatchObject({ name: 'Eve', pay: { bonus: 3 } });
    expect(told(messages)).not.toMatch(SECRETS);
  });

  it('tells those who see all and those who do not, of one change, what is theirs', async () => {
    await using scene = await openScene();
    const { url } = scene.server;
    const request = { targets: [{ collection: 'employees' }] };
    const fields = { ...request, fields: ['pay', 'name'] };
    const root = watchClient(url, await scene.server.rootToken());
    const restricted = watchClient(url, scene.token);
    await using whole = await recordWatch(root, request);
    await using part = await recordWatch(restricted, request);
    await using projected = await recordWatch(restricted, fields);
    await using every = await recordWatch(restricted, { targets: [{}] });
    await merge(scene, { salary: 765432100000 });
    const all = [];
    for (const watch of [whole, part, projected, every]) {
      all.push(told(await watch.until((messages) => changesOf(messages).length === 1)));
    }
    expect(all.map((text) => SECRETS.test(text))).toEqual([true, false, false, false]);
    expect(all[2]).toContain('"bonus":3');
  });

  it('enters and leaves by what can be seen', async () => {
    await using scene = await openScene();
    await using watch = await recordWatch(watchClient(scene.server.url, scene.token), {
      targets: [{ collection: 'employees', where: { dept: 'd1' } }],
      includePrevious: true,
    });
    await merge(scene, { dept: 'd2' });
    await merge(scene, { dept: 'd1' });
    const messages = await watch.until((all) => changesOf(all).length === 2);
    expect(changesOf(messages).map(({ document }) => document !== undefined)).toEqual([
      false,
      true,
    ]);
    expect(told(messages)).not.toMatch(SECRETS);
  });

  it('is alike as server-sent events', async () => {
    await using scene = await openScene();
    await merge(scene, { salary: 765432100000 });
    const abort = new AbortController();
    const url = `${scene.server.url}/v1/watch?collection=employees&afterSequence=0&includePrevious=true`;
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${scene.token}`, accept: 'text/event-stream' },
      signal: abort.signal,
    });
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      if (text.includes('CHANGED')) break;
    }
    abort.abort();
    expect(text).toContain('"name":"Ann"');
    expect(text).not.toMatch(SECRETS);
  });

  it('is alike over WebSocket, where a filter by what is hidden is refused', async () => {
    await using scene = await openScene();
    await using socket = await openSocket(`${scene.server.url.replace('http', 'ws')}/ws`);
    socket.send({ action: 'AUTH', token: scene.token });
    await socket.find(({ status }) => status === 'authenticated');
    const target = { collection: 'employees', initialState: true, includePrevious: true };
    socket.send({ action: 'SUBSCRIBE', id: 'w', ...target });
    await socket.find(({ id, documents }) => id === 'w' && documents !== undefined);
    await merge(scene, { salary: 765432100000, name: 'Eve' });
    await socket.find(({ id, changes }) => id === 'w' && changes !== undefined);
    socket.send({ action: 'SUBSCRIBE', id: 'x', collection: 'employees', where: { salary: 1 } });
    const refusal = await socket.find(({ id, event }) => id === 'x' && event === 'error');
    expect(told(refusal)).toContain('SCOPE_MISSING');
    expect(told(socket.frames)).toContain('"name":"Eve"');
    expect(told(socket.frames)).not.toMatch(SECRETS);
  });
});
