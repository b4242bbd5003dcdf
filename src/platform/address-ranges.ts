import { BlockList, isIP } from 'node:net';

/** A set of addresses, given as addresses or ranges in CIDR notation. */
export interface AddressRanges {
  has(address: string): boolean;
}

const MAPPED = /^::ffff:(?=\d{1,3}(\.\d{1,3}){3}$)/i;
const BITS = { 4: 32, 6: 128 } as const;
/** The shortest prefix: private networks are no wider, and a few that are take in everybody together. */
const PREFIX_MIN = { 4: 8, 6: 7 } as const;

/** An address without the form that IPv4 takes inside IPv6 sockets: `::ffff:10.0.0.1` is `10.0.0.1`. */
export function plainAddress(address: string): string {
  return address.replace(MAPPED, '');
}

/** Why a text is no range that can be trusted; undefined when it is one. */
export function rangeProblem(text: string): string | undefined {
  const range = parseRange(text);
  if (range === undefined) return 'is no address or range';
  if (range.prefix === 0) return 'takes in every address';
  const shortest = PREFIX_MIN[range.version];
  return range.prefix < shortest ? `is wider than a /${String(shortest)}` : undefined;
}

/** Creates the set. Texts that are no ranges hold nothing. */
export function createAddressRanges(texts: readonly string[]): AddressRanges {
  const list = new BlockList();
  for (const text of texts) {
    const range = parseRange(text);
    if (range !== undefined) list.addSubnet(range.address, range.prefix, `ipv${range.version}`);
  }
  return {
    has(given) {
      const address = plainAddress(given);
      const version = isIP(address);
      return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

interface Range {
  readonly address: string;
  readonly prefix: number;
  readonly version: 4 | 6;
}

function parseRange(text: string): Range | undefined {
  const [given = '', length, ...rest] = text.split('/');
  const address = plainAddress(given);
  const version = isIP(address);
  if (rest.length > 0 || (version !== 4 && version !== 6)) return undefined;
  if (length === undefined) return { address, prefix: BITS[version], version };
  const prefix = Number(length);
  const isPrefix = /^\d{1,3}$/.test(length) && prefix <= BITS[version] && address === given;
  return isPrefix ? { address, prefix, version } : undefined;
}
