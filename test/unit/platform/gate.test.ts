import { describe, expect, it } from 'vitest';

import { DomainError } from '../../../src/errors/domain-error.ts';
import { createGate, type Gate, type GateTicket } from '../../../src/platform/gate.ts';

function open(): Gate {
  const tooMany = (): DomainError => new DomainError('RATE_LIMITED', 'too many');
  return createGate({ runningMax: 1, waitingMax: 2, tooMany });
}

/** Holds the only place until it is let go. */
function hold(gate: Gate): () => void {
  let letGo = (): void => undefined;
  const task = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  void gate.run(() => task);
  return () => {
    letGo();
  };
}

describe('a gate', () => {
  it('serves lanes in turn, and each in its order', async () => {
    const gate = open();
    const letGo = hold(gate);
    const order: string[] = [];
    const enter = (name: string, lane: string): Promise<void> =>
      gate.run(
        async () => {
          order.push(name);
          await Promise.resolve();
        },
        { lane },
      );
    const all = [enter('a1', 'a'), enter('a2', 'a'), enter('b1', 'b'), enter('b2', 'b')];
    expect(gate.load()).toEqual({ running: 1, waiting: 4 });
    letGo();
    await Promise.all(all);
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2']);
    expect(gate.load()).toEqual({ running: 0, waiting: 0 });
  });

  it('refuses at once what is too much for a lane, and takes what another has room for', async () => {
    const gate = open();
    const letGo = hold(gate);
    const enter = (lane: string): Promise<string> => gate.run(async () => 'done', { lane });
    const waiting = [enter('a'), enter('a')];
    await expect(enter('a')).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
    waiting.push(enter('b'));
    letGo();
    expect(await Promise.all(waiting)).toEqual(['done', 'done', 'done']);
  });

  it('lets go whoever gives up while it waits, and never runs what it came for', async () => {
    const gate = open();
    const letGo = hold(gate);
    const giving = new AbortController();
    const ran: string[] = [];
    const enter = (name: string, ticket: GateTicket): Promise<void> =>
      gate.run(async () => {
        ran.push(name);
        await Promise.resolve();
      }, ticket);
    const given = enter('given up', { signal: giving.signal });
    const stays = enter('stays', {});
    giving.abort();
    await expect(given).rejects.toMatchObject({ reason: 'CANCELED' });
    await expect(enter('late', { signal: giving.signal })).rejects.toThrow('canceled');
    expect(gate.load()).toEqual({ running: 1, waiting: 1 });
    letGo();
    await stays;
    expect(ran).toEqual(['stays']);
  });

  it('gives the place of one that fails to the next', async () => {
    const gate = open();
    const failing = gate.run(() => Promise.reject(new Error('it failed')));
    const next = gate.run(async () => 'done');
    await expect(failing).rejects.toThrow('it failed');
    expect(await next).toBe('done');
  });
});
