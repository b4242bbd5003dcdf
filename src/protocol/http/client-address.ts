import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

import { createAddressRanges, plainAddress } from '../../platform/address-ranges.ts';

/** What of a request tells where it comes from. */
export interface AddressedRequest {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: IncomingHttpHeaders;
}

/** Tells where a request comes from: an address without port; empty when its connection is gone. */
export type AddressOf = (request: AddressedRequest) => string;

const WITH_PORT = /^(?:\[([^\]]+)\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::\d{1,5})?$/;

/** Told of a peer that forwards, and is none of the trusted ones. */
export type OnForwarded = (address: string) => void;

/**
 * Creates it for a server behind these proxies. Each proxy appends to X-Forwarded-For whom it was called
 * by, so the header is read from its end, as far as those who wrote it are trusted; what a client wrote
 * itself stands further in front and is never reached. From anybody else the header is ignored.
 */
export function createAddressOf(
  trustedProxies: readonly string[],
  onForwarded?: OnForwarded,
): AddressOf {
  const trusted = createAddressRanges(trustedProxies);
  return ({ socket, headers }) => {
    let address = plainAddress(socket.remoteAddress ?? '');
    if (trustedProxies.length === 0 || !trusted.has(address)) {
      if (headers['x-forwarded-for'] !== undefined) onForwarded?.(address);
      return address;
    }
    for (const hop of hopsOf(headers).reverse()) {
      const next = addressIn(hop);
      if (next === undefined) return address;
      address = next;
      if (!trusted.has(address)) return address;
    }
    return address;
  };
}

/** Several headers of the name count as one, in their order (RFC 9110 section 5.3). */
function hopsOf(headers: IncomingHttpHeaders): string[] {
  const value = headers['x-forwarded-for'];
  return value === undefined ? [] : String(value).split(',');
}

function addressIn(hop: string): string | undefined {
  const text = hop.trim();
  const [, six, four] = WITH_PORT.exec(text) ?? [];
  const address = plainAddress(six ?? four ?? text);
  return isIP(address) === 0 ? undefined : address;
}
