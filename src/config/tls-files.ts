import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { OptionReader } from './reader.ts';
import type { ServerConfig } from './server-config.ts';

/** What can be told of the files of TLS. */
export interface TlsFiles {
  /** The first certificate of the chain; undefined when it cannot be read. */
  readonly certificate: X509Certificate | undefined;
  /** Why each cannot be used; undefined when it can. */
  readonly certProblem: TlsProblem | undefined;
  readonly keyProblem: TlsProblem | undefined;
}

/** What is wrong with a file, and how to mend it. */
export interface TlsProblem {
  readonly why: string;
  readonly fix: string;
}

const MISMATCH: TlsProblem = {
  why: 'is not the key of the certificate',
  fix: 'give the pair that was made together',
};

/** The chain and the key; undefined without TLS. The files were judged before. */
export function readTls(read: OptionReader): ServerConfig['tls'] {
  const certPath = read.text('cert');
  const keyPath = read.text('key');
  if (certPath === undefined || keyPath === undefined) return undefined;
  const caPath = read.text('client-ca');
  const isRequired = read.text('client-cert') !== 'optional';
  return {
    ...{ cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') },
    clients: caPath === undefined ? undefined : { ca: readFileSync(caPath, 'utf8'), isRequired },
  };
}

/** Looks at the authorities of clients without using them: the first certificate, or why there is none. */
export function inspectClientCa(
  read: OptionReader,
): Pick<TlsFiles, 'certificate'> & { readonly problem: TlsProblem | undefined } {
  const path = read.text('client-ca');
  const { value, problem } =
    path === undefined ? {} : open(path, (pem) => new X509Certificate(pem));
  return { certificate: value, problem };
}

/** Looks at the files of TLS without using them. */
export function inspectTls(read: OptionReader): TlsFiles {
  const certPath = read.text('cert');
  const keyPath = read.text('key');
  const cert = certPath === undefined ? {} : open(certPath, (pem) => new X509Certificate(pem));
  const key = keyPath === undefined ? {} : open(keyPath, (pem) => createPrivateKey(pem));
  const fits =
    cert.value === undefined || key.value === undefined || cert.value.checkPrivateKey(key.value);
  return {
    certificate: cert.value,
    certProblem: cert.problem,
    keyProblem: key.problem ?? (fits ? undefined : MISMATCH),
  };
}

interface Opened<T> {
  readonly value?: T;
  readonly problem?: TlsProblem;
}

function open<T>(path: string, parse: (pem: string) => T): Opened<T> {
  const pem = readPem(path);
  if (pem.value === undefined) return { ...(pem.problem && { problem: pem.problem }) };
  try {
    return { value: parse(pem.value) };
  } catch {
    return { problem: { why: `names '${path}', which is damaged`, fix: 'make it again' } };
  }
}

function readPem(path: string): Opened<string> {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.includes('-----BEGIN ')) return { value: text };
    return { problem: { why: `names '${path}', which is not in PEM form`, fix: 'convert it' } };
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isMissing ? 'does not exist' : 'cannot be read';
    const fix = 'give a file that this user can read';
    return { problem: { why: `names '${path}', which ${why}`, fix } };
  }
}
