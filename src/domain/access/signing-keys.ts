import {
  createHash,
  createPublicKey,
  createPrivateKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openRecords, type Records } from './records.ts';
import type { Sealer } from './sealer.ts';

/** How tokens are signed: RFC 7518 HMAC, RFC 8037 Ed25519, or ECDSA on P-256. */
export const TOKEN_ALGORITHMS = ['HS256', 'EdDSA', 'ES256'] as const;

/** One of TOKEN_ALGORITHMS. */
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

/** A key that tokens are signed or verified with. */
export interface SigningKey {
  /** The `kid`. */
  readonly id: string;
  readonly algorithm: TokenAlgorithm;
  /** Unix milliseconds; 0 for secrets of the configuration. */
  readonly createdAtMs: number;
  /** From then on its tokens are refused; undefined: it signs, or comes from the configuration. */
  readonly endsAtMs: number | undefined;
  /** RFC 7517; undefined for a shared secret. */
  readonly publicJwk: Readonly<Record<string, unknown>> | undefined;
}

/** What new tokens are signed with. */
export interface Current {
  readonly key: SigningKey;
  readonly signer: KeyObject;
}

/** What verifies tokens. */
export interface Verifier {
  readonly algorithm: TokenAlgorithm;
  readonly key: KeyObject;
}

/** The key ring. */
export interface SigningKeys {
  current(): Current;
  /** What verifies tokens of a `kid`; undefined when there is none, or none any more. */
  verifier(id: string): Verifier | undefined;
  /** The same; one that is not known here is looked for, as another node may just have made it. ENGINE_UNAVAILABLE. */
  findVerifier(id: string): Promise<Verifier | undefined>;
  /** The newest first. */
  list(): readonly SigningKey[];
  /** Signs with a new key from now on; what the old one signed is taken for `graceMs` more. */
  rotate(graceMs: number): Promise<SigningKey>;
}

interface StoredKey {
  readonly algorithm: Exclude<TokenAlgorithm, 'HS256'>;
  /** PKCS #8 in PEM, sealed. */
  readonly privateKey: string;
  /** SPKI in PEM. */
  readonly publicKey: string;
  readonly createdAtMs: number;
  readonly endsAtMs?: number | undefined;
}

const KEYS_MAX = 64;
const PURPOSE = 'signing key';

/** What the key ring is made of. */
export interface SigningKeysOptions {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly sealer: Sealer;
  readonly algorithm: TokenAlgorithm;
  /** The secret of the configuration. */
  readonly secret: string;
  /** Secrets before it, whose tokens are still taken. */
  readonly previousSecrets: readonly string[];
}

/** Opens the key ring; makes a first key when the algorithm needs one. */
export async function openSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const records = await openRecords<StoredKey>({
    ...{ engine: options.engine, collection: '$signingKeys', recordsMax: KEYS_MAX },
  });
  const ring = new KeyRing(options, records);
  if (options.algorithm !== 'HS256' && ring.newest() === undefined) await ring.rotate(0);
  return ring;
}

class KeyRing implements SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #records: Records<StoredKey>;
  readonly #secrets: ReadonlyMap<string, KeyObject>;
  readonly #verifiers = new Map<string, KeyObject>();
  #current: (Current & { readonly revision: number }) | undefined;

  constructor(options: SigningKeysOptions, records: Records<StoredKey>) {
    const { algorithm, secret, previousSecrets } = options;
    // With keys of its own the server takes nothing that the secret signed, unless it is told to.
    const secrets = algorithm === 'HS256' ? [secret, ...previousSecrets] : previousSecrets;
    this.#secrets = new Map(secrets.map((one) => [idOfSecret(one), createSecretKey(one, 'utf8')]));
    this.#options = options;
    this.#records = records;
  }

  /** The key that signs, of the algorithm in use. */
  newest(): readonly [string, StoredKey] | undefined {
    const { algorithm } = this.#options;
    return [...this.#records.entries()]
      .filter(([, key]) => key.algorithm === algorithm && key.endsAtMs === undefined)
      .sort(([, a], [, b]) => b.createdAtMs - a.createdAtMs)
      .find(([, key]) => this.#options.sealer.open(key.privateKey, PURPOSE) !== undefined);
  }

  /** Looked for anew when a key was made or ended. */
  current(): Current {
    const { revision } = this.#records;
    if (this.#current?.revision !== revision) this.#current = { revision, ...this.#findCurrent() };
    return this.#current;
  }

  #findCurrent(): Current {
    const { algorithm, secret, sealer } = this.#options;
    if (algorithm === 'HS256') {
      const id = idOfSecret(secret);
      const signer = this.#secrets.get(id);
      invariant(signer !== undefined, 'the secret signs');
      return { key: sharedKey(id), signer };
    }
    const found = this.newest();
    invariant(found !== undefined, 'a key ring has a key that signs');
    const [id, stored] = found;
    const pem = sealer.open(stored.privateKey, PURPOSE) ?? '';
    return { key: toKey(id, stored), signer: createPrivateKey(pem) };
  }

  async findVerifier(id: string): Promise<Verifier | undefined> {
    if (!this.#secrets.has(id)) await this.#records.find(id);
    return this.verifier(id);
  }

  verifier(id: string): Verifier | undefined {
    const shared = this.#secrets.get(id);
    if (shared !== undefined) return { algorithm: 'HS256', key: shared };
    const stored = this.#records.get(id);
    if (stored === undefined) return undefined;
    if ((stored.endsAtMs ?? Infinity) <= this.#options.clock.now()) return undefined;
    const key = this.#verifiers.get(id) ?? createPublicKey(stored.publicKey);
    this.#verifiers.set(id, key);
    return { algorithm: stored.algorithm, key };
  }

  list(): readonly SigningKey[] {
    const nowMs = this.#options.clock.now();
    const stored = [...this.#records.entries()]
      .map(([id, key]) => toKey(id, key))
      .filter(({ endsAtMs = Infinity }) => endsAtMs > nowMs)
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
    return [...stored, ...[...this.#secrets.keys()].map(sharedKey)];
  }

  async rotate(graceMs: number): Promise<SigningKey> {
    const { algorithm, clock, sealer } = this.#options;
    if (algorithm === 'HS256') {
      throw new DomainError(
        'FEATURE_DISABLED',
        'tokens are signed with --jwt-secret; change it, and give the old one as --jwt-secret-previous, or use --token-algorithm EdDSA',
      );
    }
    const nowMs = clock.now();
    const made = makeKey(algorithm);
    const id = idOfKey(made.publicKey);
    const before = this.newest();
    const privateKey = await sealer.seal(made.privateKey, PURPOSE);
    await this.#dropEnded(nowMs);
    await this.#records.change(id, () => ({
      ...{ algorithm, publicKey: made.publicKey, createdAtMs: nowMs },
      privateKey,
    }));
    // Only when the new one is on disk: a crash in between leaves two that verify and one that signs.
    if (before !== undefined) {
      await this.#records.change(before[0], (key) => key && { ...key, endsAtMs: nowMs + graceMs });
    }
    const stored = this.#records.get(id);
    invariant(stored !== undefined, 'the new key is stored');
    return toKey(id, stored);
  }

  async #dropEnded(nowMs: number): Promise<void> {
    for (const [id, { endsAtMs = Infinity }] of [...this.#records.entries()]) {
      if (endsAtMs <= nowMs) await this.#records.change(id, () => undefined);
    }
  }
}

function makeKey(algorithm: StoredKey['algorithm']): {
  readonly publicKey: string;
  readonly privateKey: string;
} {
  const { publicKey, privateKey } =
    algorithm === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function toKey(id: string, { algorithm, createdAtMs, endsAtMs, publicKey }: StoredKey): SigningKey {
  const jwk = createPublicKey(publicKey).export({ format: 'jwk' });
  const publicJwk = { ...jwk, kid: id, alg: algorithm, use: 'sig' };
  return { id, algorithm, createdAtMs, endsAtMs, publicJwk };
}

function sharedKey(id: string): SigningKey {
  return {
    ...{ id, algorithm: 'HS256', createdAtMs: 0 },
    ...{ endsAtMs: undefined, publicJwk: undefined },
  };
}

/** Tells secrets apart and nothing about them: they are random. */
function idOfSecret(secret: string): string {
  const hash = createHash('sha256').update('moltendb key id\0').update(secret).digest('base64url');
  return `hs-${hash.slice(0, 11)}`;
}

function idOfKey(publicKey: string): string {
  return createHash('sha256').update(publicKey).digest('base64url').slice(0, 16);
}
