import { AdminService } from '../../../gen/molten/v1/admin_pb.ts';
import { ApiKeyService } from '../../../gen/molten/v1/api_keys_pb.ts';
import { AuditService } from '../../../gen/molten/v1/audit_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { CollectionService } from '../../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { OperationService } from '../../../gen/molten/v1/operations_pb.ts';
import { SnapshotService } from '../../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { TokenService } from '../../../gen/molten/v1/tokens_pb.ts';
import { UserService } from '../../../gen/molten/v1/users_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import type { ServiceImplementation } from '../call.ts';
import { bindService, type ServiceBinding } from '../dispatcher.ts';

/** Every service that the server mounts, by a short name. */
export interface Services {
  readonly documents: typeof DocumentService;
  readonly collections: typeof CollectionService;
  readonly watch: typeof WatchService;
  readonly snapshots: typeof SnapshotService;
  readonly operations: typeof OperationService;
  readonly auth: typeof AuthService;
  readonly users: typeof UserService;
  readonly tokens: typeof TokenService;
  readonly apiKeys: typeof ApiKeyService;
  readonly audit: typeof AuditService;
  readonly system: typeof SystemService;
  readonly admin: typeof AdminService;
}

/** They themselves. One that is not here cannot be called. */
export const SERVICES: Services = {
  documents: DocumentService,
  collections: CollectionService,
  watch: WatchService,
  snapshots: SnapshotService,
  operations: OperationService,
  auth: AuthService,
  users: UserService,
  tokens: TokenService,
  apiKeys: ApiKeyService,
  audit: AuditService,
  system: SystemService,
  admin: AdminService,
};

/** What implements each of them. */
export type Implementations = {
  readonly [Name in keyof Services]: ServiceImplementation<Services[Name]>;
};

/** Binds every service to what implements it. */
export function bindServices(implementations: Implementations): readonly ServiceBinding[] {
  const bind = <Name extends keyof Services>(name: Name): ServiceBinding =>
    bindService<Services[Name]>(SERVICES[name], implementations[name]);
  // The keys of a constant are the names that its type has.
  return (Object.keys(SERVICES) as (keyof Services)[]).map((name) => bind(name));
}
