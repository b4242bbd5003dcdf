/** How alerts leave the server: retried, bounded, never redirected, and not into private networks. */
import { createServer, type RequestListener } from 'node:http';

import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { openWebhook, type WebhookOptions } from '../../../src/platform/webhook.ts';

interface Target extends AsyncDisposable {
  readonly url: string;
}

async function listen(handler: RequestListener): Promise<Target> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { readonly port: number };
  return {
    url: `http://localhost:${String(port)}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function optionsOf(url: string, problems: string[]): WebhookOptions {
  return {
    ...{ url, secret: 'a secret', allowPrivate: true, clock: systemClock, retryMs: 1 },
    onFailure: (problem) => problems.push(problem),
  };
}

describe('a webhook', () => {
  it('tries again until it is taken, in the order of the messages', async () => {
    const bodies: string[] = [];
    let attempts = 0;
    await using target = await listen((request, response) => {
      attempts += 1;
      request.on('data', (chunk: Buffer) => {
        if (attempts > 3) bodies.push(chunk.toString('utf8'));
      });
      request.on('end', () => response.writeHead(attempts > 3 ? 204 : 503).end());
    });
    const problems: string[] = [];
    await using webhook = openWebhook(optionsOf(target.url, problems));
    webhook.send('a', { n: 1 });
    webhook.send('a', { n: 2 });
    await expect.poll(() => bodies.length, { timeout: 5000 }).toBe(2);
    expect(bodies).toEqual(['{"n":1}', '{"n":2}']);
    await expect.poll(() => webhook.deliveries()).toEqual({ success: 2, failure: 3 });
    expect(problems).toEqual([]);
  });

  it('tells again what was not taken, the last of each topic, until it is', async () => {
    const bodies: string[] = [];
    let isAway = true;
    await using target = await listen((request, response) => {
      const isTaken = !isAway;
      request.on('data', (chunk: Buffer) => {
        if (isTaken) bodies.push(chunk.toString('utf8'));
      });
      request.on('end', () => response.writeHead(isTaken ? 204 : 503).end());
    });
    const problems: string[] = [];
    await using webhook = openWebhook({ ...optionsOf(target.url, problems), againMs: 20 });
    webhook.send('a', { a: 'raised' });
    webhook.send('b', { b: 'raised' });
    webhook.send('a', { a: 'cleared' });
    await expect.poll(() => problems.length, { timeout: 5000 }).toBe(3);
    // Nobody is told more than once that it is away.
    await expect.poll(() => webhook.deliveries().failure).toBeGreaterThan(3 * 6 + 2);
    expect(problems).toHaveLength(3);
    isAway = false;
    await expect.poll(() => bodies.length, { timeout: 5000 }).toBe(2);
    expect(bodies.toSorted()).toEqual(['{"a":"cleared"}', '{"b":"raised"}']);
    webhook.send('a', { a: 'raised again' });
    await expect.poll(() => bodies.length).toBe(3);
    expect(webhook.deliveries().success).toBe(3);
  });

  it('tells again of other topics when one is always refused', async () => {
    const taken: string[] = [];
    let isAway = true;
    await using target = await listen((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      request.on('end', () => {
        if (isAway) response.destroy();
        else if (text === '{"a":"refused"}') response.writeHead(400).end();
        else {
          taken.push(text);
          response.end();
        }
      });
    });
    const problems: string[] = [];
    await using webhook = openWebhook({ ...optionsOf(target.url, problems), againMs: 20 });
    webhook.send('a', { a: 'refused' });
    webhook.send('b', { b: 'raised' });
    webhook.send('c', { c: 'raised' });
    await expect.poll(() => problems.length, { timeout: 5000 }).toBe(3);
    isAway = false;
    await expect.poll(() => taken, { timeout: 5000 }).toEqual(['{"b":"raised"}', '{"c":"raised"}']);
  });

  it('tells later what gave way to newer messages, the last of each topic', async () => {
    const taken: string[] = [];
    const held: (() => void)[] = [];
    let isHolding = true;
    await using target = await listen((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      request.on('end', () => {
        const isRefused = text === '{"a":"raised"}';
        if (!isRefused) taken.push(text);
        const answer = (): void => {
          response.writeHead(isRefused ? 503 : 204).end();
        };
        if (isHolding) held.push(answer);
        else answer();
      });
    });
    const problems: string[] = [];
    await using webhook = openWebhook({ ...optionsOf(target.url, problems), againMs: 20 });
    webhook.send('a', { a: 'raised' });
    await expect.poll(() => held.length).toBe(1);
    webhook.send('a', { a: 'cleared' });
    webhook.send('b', { b: 'raised' });
    for (let n = 0; n < 100; n++) webhook.send(n === 99 ? 'b' : 'c', { n });
    expect(problems).toHaveLength(2);
    isHolding = false;
    for (const answer of held) answer();
    await expect.poll(() => taken, { timeout: 5000 }).toContain('{"a":"cleared"}');
    expect(taken).toContain('{"n":99}');
    // Of this there was something newer.
    expect(taken).not.toContain('{"b":"raised"}');
    expect(taken).toHaveLength(101);
  });

  it('follows no redirect, and says so in the end', async () => {
    let hits = 0;
    await using elsewhere = await listen((_request, response) => {
      hits += 1;
      response.end();
    });
    await using target = await listen((_request, response) =>
      response.writeHead(307, { location: elsewhere.url }).end(),
    );
    const problems: string[] = [];
    await using webhook = openWebhook(optionsOf(target.url, problems));
    webhook.send('a', {});
    await expect.poll(() => problems.length, { timeout: 5000 }).toBe(1);
    expect(problems[0]).toContain('307');
    expect(hits).toBe(0);
  });

  it('never connects to a private address, by name or by number', async () => {
    let hits = 0;
    await using target = await listen((_request, response) => {
      hits += 1;
      response.end();
    });
    const port = new URL(target.url).port;
    for (const host of ['localhost', '127.0.0.1', '2130706433', '[::ffff:127.0.0.1]']) {
      const problems: string[] = [];
      const options = optionsOf(`http://${host}:${port}/`, problems);
      await using webhook = openWebhook({ ...options, allowPrivate: false });
      webhook.send('a', {});
      await expect.poll(() => problems.length, { timeout: 5000 }).toBe(1);
      expect([host, problems[0]]).toEqual([host, expect.stringContaining('private address')]);
    }
    expect(hits).toBe(0);
  });

  it('holds a bounded number of messages, and stops at once', async () => {
    await using target = await listen(() => undefined);
    const problems: string[] = [];
    const webhook = openWebhook(optionsOf(target.url, problems));
    for (let n = 0; n < 151; n++) webhook.send('a', { n });
    expect(problems).toHaveLength(50);
    await webhook[Symbol.asyncDispose]();
    webhook.send('a', {});
    expect(webhook.deliveries().success).toBe(0);
  });
});
