import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
// As IPv6 writes them, such as ::ffff:127.0.0.1, they are matched too.
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Reports whether an address, or the host of a URL, is this machine: what is sent to it crosses no network. */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (bare === 'localhost') return true;
  const family = isIP(bare);
  return family !== 0 && loopback.check(bare, family === 6 ? 'ipv6' : 'ipv4');
}
