import { createRegistry, type Registry } from '@bufbuild/protobuf';

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../../gen/google/rpc/error_details_pb.ts';

/** What may be packed into an Any: the details of errors. JSON needs to know their fields. */
export const DETAILS: Registry = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** Members that hold their default are sent all the same: a reader finds every field it knows. */
export const REST_JSON: { readonly alwaysEmitImplicit: true; readonly registry: Registry } = {
  alwaysEmitImplicit: true,
  registry: DETAILS,
};
