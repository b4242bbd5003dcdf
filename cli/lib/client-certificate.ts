import type { ClientCertificate } from '../../src/client/client.ts';
import { variable } from '../../src/config/environment.ts';
import { readArgumentFile, usageError } from './input.ts';

/** The files of the certificate that is shown to servers that ask for one, and of its key, in PEM. */
const CERT = 'MOLTEN_CLIENT_CERT';
const KEY = 'MOLTEN_CLIENT_KEY';

/** Reads the certificate for mutual TLS; undefined when none is named. */
export function readClientCertificate(): ClientCertificate | undefined {
  const [cert, key] = [variable(CERT), variable(KEY)];
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw usageError(`${KEY} is given without ${CERT}; give both`);
  if (key === undefined) throw usageError(`${CERT} is given without ${KEY}; give both`);
  return { cert: readPem(CERT, cert), key: readPem(KEY, key) };
}

function readPem(name: string, path: string): string {
  const text = readArgumentFile(path, name);
  if (text.includes('-----BEGIN ')) return text;
  throw usageError(`${name}: '${path}' is not PEM`);
}
