import { createClient, type Client, type Transport } from '@connectrpc/connect';
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { certificate } from '../../support/certificate.ts';

/** One way to call a server. */
export interface Way {
  readonly name: string;
  connect(url: string): Transport;
}

/** Clients of every service of the fake server. */
export interface Clients {
  readonly auth: Client<typeof AuthService>;
  readonly system: Client<typeof SystemService>;
  readonly health: Client<typeof Health>;
}

const VERSIONS = ['1.1', '2'] as const;
const COMPRESSIONS = [false, true];

/** Every protocol, version and encoding there is. */
export const WAYS: readonly Way[] = VERSIONS.flatMap((httpVersion) =>
  COMPRESSIONS.flatMap((compress) => waysOf(httpVersion, compress)),
);

function waysOf(httpVersion: '1.1' | '2', compress: boolean): readonly Way[] {
  const compression = compress ? { compressMinBytes: 0, sendCompression: compressionGzip } : {};
  const suffix = `over HTTP/${httpVersion}${compress ? ', compressed' : ''}`;
  const base = (baseUrl: string): { baseUrl: string; httpVersion: '1.1' | '2' } => ({
    ...{ baseUrl, httpVersion },
    ...compression,
    ...(baseUrl.startsWith('https') ? { nodeOptions: { ca: certificate } } : {}),
  });
  const ways = [false, true].flatMap((useBinaryFormat): Way[] => {
    const encoding = useBinaryFormat ? 'binary' : 'JSON';
    return [
      {
        name: `Connect ${encoding} ${suffix}`,
        connect: (url) => createConnectTransport({ ...base(url), useBinaryFormat }),
      },
      {
        name: `gRPC-Web ${encoding} ${suffix}`,
        connect: (url) => createGrpcWebTransport({ ...base(url), useBinaryFormat }),
      },
      {
        name: `gRPC ${encoding} ${suffix}`,
        connect: (url) => createGrpcTransport({ ...base(url), useBinaryFormat }),
      },
    ];
  });
  const get: Way = {
    name: `Connect GET ${suffix}`,
    connect: (url) =>
      createConnectTransport({ ...base(url), useBinaryFormat: false, useHttpGet: true }),
  };
  const all = [...ways, get];
  return httpVersion === '2' ? all : all.filter(({ name }) => !name.startsWith('gRPC '));
}

/** Connects to all services in one way. */
export function connectAll(way: Way, url: string): Clients {
  const transport = way.connect(url);
  return {
    auth: createClient(AuthService, transport),
    system: createClient(SystemService, transport),
    health: createClient(Health, transport),
  };
}
