import { describe, expect, it } from 'vitest';

import { createAddressOf } from '../../../src/protocol/http/client-address.ts';
import { openTraffic, type Traffic } from '../../../src/server/traffic.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { testConfig } from '../../support/server.ts';

const WINDOW_MS = 60_000;

/** Traffic of a server that names no proxies, with what it warns of. */
function open(): { readonly traffic: Traffic; readonly warned: unknown[] } {
  const warned: unknown[] = [];
  const nothing = (): void => undefined;
  const config = testConfig('unused');
  const traffic = openTraffic(config, {
    clock: createManualClock(),
    logger: {
      ...{ debug: nothing, info: nothing, error: nothing },
      warn(message, fields) {
        if (message !== 'an address was banned') warned.push([message, fields]);
      },
    },
    audit: { note: nothing },
    engine: { budgets: undefined },
    live: () => ({ ...config, bans: { refusals: 3, firstMs: WINDOW_MS } }),
  });
  return { traffic, warned };
}

/** Refuses a client time and again; whether it is banned then. */
function refuseFrom(traffic: Traffic, remoteAddress: string, header?: string): boolean {
  const addressOf = createAddressOf([], traffic.onForwarded);
  const headers = header === undefined ? {} : { 'x-forwarded-for': header };
  for (let n = 0; n < 5; n++)
    traffic.bans.strike(addressOf({ socket: { remoteAddress }, headers }));
  return traffic.bans.refusalOf(remoteAddress) !== undefined;
}

describe('a proxy that nobody named', () => {
  it('is told of once, and not banned for what comes through it', () => {
    const { traffic, warned } = open();
    expect(refuseFrom(traffic, '10.1.2.3', '8.8.8.8')).toBe(false);
    expect(refuseFrom(traffic, '::ffff:10.1.2.3', '9.9.9.9')).toBe(false);
    expect(warned).toEqual([
      [expect.stringContaining('a proxy is not in --trusted-proxy'), { address: '10.1.2.3' }],
    ]);
    expect(refuseFrom(traffic, '10.1.2.4')).toBe(true);
  });

  it('is nobody who calls from the public Internet, whatever is written in the header', () => {
    const { traffic, warned } = open();
    expect(refuseFrom(traffic, '8.8.8.8', '10.0.0.1')).toBe(true);
    expect(warned).toEqual([]);
  });

  it('is let in also when others of its network were banned before', () => {
    const { traffic } = open();
    expect(refuseFrom(traffic, 'fd00::2')).toBe(true);
    expect(refuseFrom(traffic, 'fd00::1', '8.8.8.8')).toBe(false);
  });

  it('is remembered and told of in a bounded number, the last ones rather than the first', () => {
    const { traffic, warned } = open();
    for (let n = 0; n < 250; n++) traffic.onForwarded(`10.0.0.${String(n)}`);
    expect(warned).toHaveLength(100);
    expect(refuseFrom(traffic, '10.9.9.9', '8.8.8.8')).toBe(false);
    expect(refuseFrom(traffic, '10.0.0.1')).toBe(true);
  });
});
