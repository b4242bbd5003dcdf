import { createHash } from 'node:crypto';

import { toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

import type { RequestIdentity } from '../../domain/documents/model.ts';
import type { Principal } from '../../domain/access/principal.ts';

/** The identity of a request with a request id; undefined without one. */
export function requestIdentity<D extends DescMessage>(
  schema: D,
  request: MessageShape<D> & { readonly requestId: string },
  principal: Principal,
): RequestIdentity | undefined {
  const { requestId: id } = request;
  if (id === '') return undefined;
  const hash = createHash('sha256').update(schema.typeName).update(toBinary(schema, request));
  return { id, principal: principal.subject, fingerprint: hash.digest('base64') };
}
