import { isIP } from 'node:net';

import { plainAddress } from './address-ranges.ts';

/** Groups of 16 bits in the first 64 bits of an address, and in all of it. */
const PREFIX_GROUPS = 4;
const ALL_GROUPS = 8;

/**
 * What one caller has to itself: an IPv4 address, or the /64 of an IPv6 one. A network of IPv6 gives each
 * of its customers at least that (RFC 6177), so counting single addresses would count nothing.
 */
export function subnetOf(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [bare = ''] = plain.split('%', 1);
  const [left = '', right] = bare.split('::');
  const head = groupsOf(left);
  const tail = groupsOf(right ?? '');
  const gap = right === undefined ? 0 : ALL_GROUPS - head.length - tail.length;
  const groups = [...head, ...Array<string>(gap).fill('0'), ...tail].slice(0, PREFIX_GROUPS);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/** A dotted quad ends an address and stands for two groups, which are beyond its first 64 bits. */
function groupsOf(text: string): readonly string[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}
