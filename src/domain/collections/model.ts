/** The words of the storage port about collections that callers of the domain speak. */
export type { CollectionRecord, IndexField, IndexRecord } from '../../storage/types.ts';
