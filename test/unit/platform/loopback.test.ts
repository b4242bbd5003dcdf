import { expect, it } from 'vitest';

import { isLoopback } from '../../../src/platform/loopback.ts';

it.each([
  ...['localhost', 'LOCALHOST', '127.0.0.1', '127.255.0.9', '::1', '[::1]', '::ffff:127.0.0.1'],
  ...['[::ffff:7f00:1]', '0:0:0:0:0:0:0:1'],
])('%s is this machine', (host) => {
  expect(isLoopback(host)).toBe(true);
});

it.each([
  ...['', '0.0.0.0', '::', '128.0.0.1', '127.0.0.1.example.org', '127.1', '127.0.0.256'],
  ...['::ffff:10.0.0.1', 'localhost.example.org', '[::2]'],
])('%s is not', (host) => {
  expect(isLoopback(host)).toBe(false);
});
