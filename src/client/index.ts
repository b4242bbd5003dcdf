/** The client, as applications import it. */
export {
  createMoltenClient,
  type ClientCertificate,
  type MoltenClient,
  type MoltenClientOptions,
} from './client.ts';
export {
  bodyOf,
  queryAll,
  toBody,
  toPlain,
  toPlainWithSystem,
  type PagedQuery,
  type PlainDocument,
} from './documents.ts';
export { MoltenError, toMoltenError } from './molten-error.ts';
export { withRetries } from './retry.ts';
export type { WatchOptions } from './watch.ts';
