/**
 * The client: typed calls of every service, errors with a reason, retries where they are safe. The
 * command line, tests and applications in TypeScript use it; other languages generate theirs from the
 * same protos.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';

import { ApiKeyService } from '../../gen/molten/v1/api_keys_pb.ts';
import { AdminService } from '../../gen/molten/v1/admin_pb.ts';
import { AuditService } from '../../gen/molten/v1/audit_pb.ts';
import { AuthService } from '../../gen/molten/v1/auth_pb.ts';
import { CollectionService } from '../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../gen/molten/v1/documents_pb.ts';
import { OperationService } from '../../gen/molten/v1/operations_pb.ts';
import { SnapshotService } from '../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../gen/molten/v1/system_pb.ts';
import { TokenService } from '../../gen/molten/v1/tokens_pb.ts';
import { UserService } from '../../gen/molten/v1/users_pb.ts';
import {
  WatchService,
  type WatchRequestSchema,
  type WatchResponse,
} from '../../gen/molten/v1/watch_pb.ts';
import { toMoltenError } from './molten-error.ts';
import { followChanges, type WatchOptions } from './watch.ts';

/** How a server is reached. */
export interface MoltenClientOptions {
  /** Such as `http://127.0.0.1:1538`. */
  readonly url: string;
  /** Asked for before each call; undefined calls without a credential. */
  readonly token?: () => string | undefined;
  /** Default `connect`. */
  readonly protocol?: 'connect' | 'grpc';
  /** How long a call may take, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
  /** The field `User-Agent`, which sessions and logs show. Otherwise that of the transport. */
  readonly userAgent?: string;
  /** For a server that asks for one (mutual TLS). It lets connect; what may be done the token says. */
  readonly clientCertificate?: ClientCertificate | undefined;
}

/** What a client shows of itself in the TLS handshake, in PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Every service of a server. Calls fail with MoltenError. */
export interface MoltenClient {
  readonly apiKeys: Client<typeof ApiKeyService>;
  readonly admin: Client<typeof AdminService>;
  readonly audit: Client<typeof AuditService>;
  readonly auth: Client<typeof AuthService>;
  readonly collections: Client<typeof CollectionService>;
  readonly documents: Client<typeof DocumentService>;
  readonly operations: Client<typeof OperationService>;
  readonly snapshots: Client<typeof SnapshotService>;
  readonly system: Client<typeof SystemService>;
  readonly tokens: Client<typeof TokenService>;
  readonly users: Client<typeof UserService>;
  /** Follows changes, each once and in order, over as many connections as it takes. */
  watch(
    request: MessageInitShape<typeof WatchRequestSchema>,
    options?: WatchOptions,
  ): AsyncGenerator<WatchResponse, void>;
}

const TIMEOUT_MS = 60_000;

/** Creates a client. Connections are opened when they are needed. */
export function createMoltenClient(options: MoltenClientOptions): MoltenClient {
  const transport = createTransport(options);
  return {
    apiKeys: translated(createClient(ApiKeyService, transport)),
    admin: translated(createClient(AdminService, transport)),
    audit: translated(createClient(AuditService, transport)),
    auth: translated(createClient(AuthService, transport)),
    collections: translated(createClient(CollectionService, transport)),
    documents: translated(createClient(DocumentService, transport)),
    operations: translated(createClient(OperationService, transport)),
    snapshots: translated(createClient(SnapshotService, transport)),
    system: translated(createClient(SystemService, transport)),
    tokens: translated(createClient(TokenService, transport)),
    users: translated(createClient(UserService, transport)),
    watch(request, watchOptions) {
      const service = createClient(WatchService, transport);
      const token = (): string | undefined => options.token?.();
      return followChanges({ service, token }, request, watchOptions);
    },
  };
}

function createTransport(options: MoltenClientOptions): Transport {
  const { url: baseUrl, protocol, timeoutMs: defaultTimeoutMs = TIMEOUT_MS } = options;
  const interceptors = [introduce(options)];
  const nodeOptions = { ...options.clientCertificate };
  return protocol === 'grpc'
    ? createGrpcTransport({ baseUrl, defaultTimeoutMs, interceptors, nodeOptions })
    : createConnectTransport({
        ...{ baseUrl, defaultTimeoutMs, interceptors, nodeOptions },
        httpVersion: '1.1',
        useBinaryFormat: true,
      });
}

/** Says with each call for whom it is, and by which program. */
function introduce({ token, userAgent }: MoltenClientOptions): Interceptor {
  return (next) => async (request) => {
    const value = token?.();
    if (value !== undefined) request.header.set('authorization', `Bearer ${value}`);
    if (userAgent !== undefined) request.header.set('user-agent', userAgent);
    return await next(request);
  };
}

/** The same client, failing with MoltenError instead of what its transport fails with. */
function translated<T extends object>(client: T): T {
  return new Proxy(client, {
    get(target, name, receiver): unknown {
      const method: unknown = Reflect.get(target, name, receiver);
      if (typeof method !== 'function') return method;
      return (...input: readonly unknown[]): unknown => {
        const result: unknown = Reflect.apply(method, target, input);
        return result instanceof Promise ? result.catch(rethrow) : translatedStream(result);
      };
    },
  });
}

async function* translatedStream(stream: unknown): AsyncIterable<unknown> {
  try {
    // What is no promise is the stream of a streaming method.
    yield* stream as AsyncIterable<unknown>;
  } catch (error) {
    rethrow(error);
  }
}

function rethrow(error: unknown): never {
  throw toMoltenError(error);
}
