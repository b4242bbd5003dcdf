import { DomainError } from '../errors/domain-error.ts';
import type { Tracer } from '../platform/tracing.ts';
import type { StorageEngine } from '../storage/engine.ts';

/** The same engine; what is read, queried and written within a traced call are parts of its trace. */
export function traceEngine(engine: StorageEngine, tracer: Tracer): StorageEngine {
  async function traced<T>(
    operation: string,
    collection: string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const span = tracer.start({
      ...{ name: `${operation} ${collection ?? ''}`.trimEnd(), kind: 'internal' },
      attributes: {
        ...{ 'db.system.name': 'moltendb', 'db.operation.name': operation },
        ...(collection === undefined ? {} : { 'db.collection.name': collection }),
      },
    });
    if (span === undefined) return await work();
    try {
      const result = await span.run(work);
      span.end();
      return result;
    } catch (error) {
      span.end(error instanceof DomainError ? error.reason : 'INTERNAL');
      throw error;
    }
  }

  const own: Pick<StorageEngine, 'get' | 'transact' | 'query' | 'aggregate'> = {
    get: (collection, keys, options) =>
      traced('get', collection, () => engine.get(collection, keys, options)),
    transact: (options, body) =>
      traced('transact', undefined, () => engine.transact(options, body)),
    query: (query, options) =>
      traced('query', query.collection, () => engine.query(query, options)),
    aggregate: (aggregation, options) =>
      traced('aggregate', aggregation.collection, () => engine.aggregate(aggregation, options)),
  };
  return new Proxy(engine, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name) as unknown;
      const member: unknown = Reflect.get(target, name, target);
      // Methods of a class with private members must be called on it, not on what stands before it.
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
