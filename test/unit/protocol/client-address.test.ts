import { describe, expect, it } from 'vitest';

import { createAddressRanges, rangeProblem } from '../../../src/platform/address-ranges.ts';
import { createAddressOf } from '../../../src/protocol/http/client-address.ts';

const PROXIES = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'];

function addressOf(peer: string, forwarded?: string, trusted = PROXIES): string {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return createAddressOf(trusted)({ socket: { remoteAddress: peer }, headers });
}

describe('where a request comes from', () => {
  it.each<[string, string, string | undefined, string]>([
    ['is its peer without a proxy', '203.0.113.9', undefined, '203.0.113.9'],
    ['is its peer when nobody trusts that', '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['is what a proxy appended', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    [
      'is the last hop that is no proxy',
      '10.0.0.1',
      '198.51.100.1, 192.0.2.7, 10.9.9.9',
      '198.51.100.1',
    ],
    [
      'is never what the client wrote in front',
      '10.0.0.1',
      '127.0.0.1, 1.2.3.4, 198.51.100.1, 10.0.0.2',
      '198.51.100.1',
    ],
    ['stops at what is no address', '10.0.0.1', '198.51.100.1, unknown, 10.0.0.2', '10.0.0.2'],
    ['is the proxy when its header is empty', '10.0.0.1', '', '10.0.0.1'],
    ['is the first proxy when all are', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['has no port', '10.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
    ['has no brackets', '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['is IPv6 as well', 'fd00::1', '2001:db8::1', '2001:db8::1'],
    ['knows a proxy by its mapped form', '::ffff:10.0.0.1', '::ffff:198.51.100.1', '198.51.100.1'],
    ['has one form for one peer', '::ffff:203.0.113.9', undefined, '203.0.113.9'],
  ])('%s', (...[, peer, forwarded, expected]) => {
    expect(addressOf(peer, forwarded)).toBe(expected);
  });

  it('is the peer, whatever the header says, when no proxy is trusted', () => {
    expect(addressOf('10.0.0.1', '198.51.100.1', [])).toBe('10.0.0.1');
    expect(addressOf('127.0.0.1', '198.51.100.1', [])).toBe('127.0.0.1');
  });

  it('reads several headers as one', () => {
    const headers = { 'x-forwarded-for': ['1.2.3.4', '198.51.100.1'] as unknown as string };
    const request = { socket: { remoteAddress: '10.0.0.1' }, headers };
    expect(createAddressOf(PROXIES)(request)).toBe('198.51.100.1');
  });
});

describe('ranges of addresses', () => {
  it('hold what is in them and nothing else', () => {
    const ranges = createAddressRanges(PROXIES);
    const inside = ['10.255.0.1', '192.0.2.7', 'fd12::1'].filter((one) => ranges.has(one));
    const outside = ['11.0.0.1', '192.0.2.8', 'fe80::1', '', 'host'].filter((one) =>
      ranges.has(one),
    );
    expect([inside.length, outside]).toEqual([3, []]);
  });

  it.each([
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1',
    '128.0.0.0/7',
    '2000::/3',
    '10.0.0.0/33',
    '10.0.0/8',
    'host',
    '10.0.0.0/',
    '',
    '1.2.3.4/8/8',
  ])('are not %j', (text) => {
    expect(rangeProblem(text)).toBeDefined();
  });
});
