import { fileURLToPath } from 'node:url';

import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Reads one document over gRPC, with the client of grpc-js. */
export interface GrpcReader {
  read(): Promise<unknown>;
  close(): void;
}

/** A client class with the definition of its service. */
interface DocumentServiceConstructor {
  new (...args: unknown[]): unknown;
  readonly service: unknown;
}

/** The DocumentService as grpc-js loads it. */
export function loadDocumentService(): DocumentServiceConstructor {
  const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const definition = loadSync('molten/v1/documents.proto', {
    includeDirs: [root('proto'), root('third_party/proto')],
  });
  // What a package definition holds is known only when it is loaded.
  const { molten } = loadPackageDefinition(definition) as never as {
    molten: { v1: { DocumentService: never } };
  };
  return molten.v1.DocumentService;
}

/** Connects without TLS. */
export function createGrpcReader(target: string, token: string): GrpcReader {
  const Service = loadDocumentService();
  const client = new Service(target, credentials.createInsecure()) as {
    getDocument: (...args: unknown[]) => void;
    close: () => void;
  };
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const request = { collection: 'bench', key: 'k', encoding: 2 };
  return {
    read: () =>
      new Promise((resolve, reject) => {
        client.getDocument(request, metadata, (error: Error | null, answer: unknown) => {
          if (error === null) resolve(answer);
          else reject(error);
        });
      }),
    close: () => {
      client.close();
    },
  };
}
