import { createContextKey, createContextValues, type ContextValues } from '@connectrpc/connect';

import type { CallOrigin } from '../call.ts';

const originKey = createContextKey<CallOrigin | undefined>(undefined);

/** What Connect's own handlers carry to the service, so that it knows where its call came from. */
export function carryOrigin(origin: CallOrigin): ContextValues {
  return createContextValues().set(originKey, origin);
}

/** Where a call came from. Throws for one that no door has let in. */
export function originOf({ values }: { readonly values: ContextValues }): CallOrigin {
  const origin = values.get(originKey);
  if (origin === undefined) throw new Error('a call came without its origin');
  return origin;
}
