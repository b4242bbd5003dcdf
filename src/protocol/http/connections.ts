import type { Server, Socket } from 'node:net';

import { plainAddress } from '../../platform/address-ranges.ts';
import { isLoopback } from '../../platform/loopback.ts';
import { createRoster } from '../../platform/roster.ts';
import { subnetOf } from '../../platform/subnet.ts';

/** Why a connection was closed before anything was read from it. */
export type ConnectionRefusal = 'total' | 'address';

/** The connections of a server, counted. */
export interface Connections {
  /** Open now. */
  readonly open: number;
  /** Refused since the start. */
  refused(why: ConnectionRefusal): number;
  /** Closes all of them at once. */
  destroyAll(): void;
}

/** How many there may be. */
export interface ConnectionCaps {
  readonly connectionsMax: number;
  /** From one IPv4 address or IPv6 /64. */
  readonly connectionsPerAddressMax: number;
  /** Proxies bring the connections of others, and are bounded in total alone. */
  readonly isProxy: (address: string) => boolean;
}

/** Beyond the total, for this machine: a server that is full can be asked by its health check, and by who mends it. */
const RESERVED = 16;

/** Counts the connections of a server and closes those beyond its caps. */
export function capConnections(server: Server, caps: ConnectionCaps): Connections {
  const sockets = createRoster<Socket>();
  const byAddress = new Map<string, number>();
  const refused = { total: 0, address: 0 };
  // Node closes those beyond it by itself.
  server.maxConnections = caps.connectionsMax + RESERVED;
  server.on('drop', () => {
    refused.total += 1;
  });
  server.on('connection', (socket: Socket) => {
    const address = plainAddress(socket.remoteAddress ?? '');
    const isOwn = isLoopback(address) && !caps.isProxy(address);
    if (sockets.size >= caps.connectionsMax && !isOwn) {
      refused.total += 1;
      socket.destroy();
      return;
    }
    const key = subnetOf(address);
    const count = (byAddress.get(key) ?? 0) + 1;
    if (count > caps.connectionsPerAddressMax && !caps.isProxy(address)) {
      refused.address += 1;
      socket.destroy();
      return;
    }
    const leave = sockets.add(socket);
    byAddress.set(key, count);
    socket.once('close', () => {
      leave();
      const left = (byAddress.get(key) ?? 1) - 1;
      if (left === 0) byAddress.delete(key);
      else byAddress.set(key, left);
    });
  });
  return {
    get open() {
      return sockets.size;
    },
    refused: (why) => refused[why],
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
