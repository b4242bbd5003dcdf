import { BlockList, isIP } from 'node:net';

/** Networks that are not the public Internet: this machine, private, link-local, shared, reserved. */
const PRIVATE: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
];

/** Public addresses of IPv6 are in this one network; parts of it stand for addresses of IPv4. */
const PUBLIC_IPV6: readonly [string, number] = ['2000::', 3];
const EMBEDDING_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 32],
  ['2001:db8::', 32],
  ['2002::', 16],
];

const blocked = new BlockList();
for (const [network, bits, family] of PRIVATE) blocked.addSubnet(network, bits, family);
for (const [network, bits] of EMBEDDING_IPV6) blocked.addSubnet(network, bits, 'ipv6');
const open = new BlockList();
open.addSubnet(...PUBLIC_IPV6, 'ipv6');

/** Reports whether an IP address is not of the public Internet; also for what is no address. */
export function isPrivateAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return blocked.check(address, 'ipv4');
    case 6:
      return !open.check(address, 'ipv6') || blocked.check(address, 'ipv6');
    default:
      return true;
  }
}
