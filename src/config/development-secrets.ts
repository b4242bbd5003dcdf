import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets of a development server. */
export interface DevelopmentSecrets {
  readonly jwtSecret: string;
  readonly rootPassword: string;
  readonly encryptionKey: string | undefined;
  /** Where the password of the root user is kept. */
  readonly passwordFile: string;
}

/** What the user gave; the rest is made. */
export interface GivenSecrets {
  readonly jwtSecret: string | undefined;
  readonly rootPassword: string | undefined;
  readonly encryptionKey: string | undefined;
  readonly isEncrypted: boolean;
}

const DIRECTORY_NAME = 'development-secrets';
const SECRET_BYTES = 32;
const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

/**
 * Completes what was given with secrets made at the first start. Each is kept in a file of its own in the
 * directory of the store, readable by its owner only, in the form that `--<name>-file` takes. They are
 * never logged.
 */
export function addDevelopmentSecrets(store: string, given: GivenSecrets): DevelopmentSecrets {
  const directory = join(store, DIRECTORY_NAME);
  mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY });
  const keep = (name: string): string => readOrMake(join(directory, name));
  return {
    jwtSecret: given.jwtSecret ?? keep('jwt-secret'),
    rootPassword: given.rootPassword ?? keep('root-password'),
    encryptionKey: given.isEncrypted ? (given.encryptionKey ?? keep('encryption-key')) : undefined,
    passwordFile: join(directory, 'root-password'),
  };
}

function readOrMake(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8').trimEnd();
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  writeFileSync(file, `${secret}\n`, { mode: PRIVATE_FILE });
  return secret;
}
