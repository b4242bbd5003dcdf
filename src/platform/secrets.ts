import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits: too many to guess, so that a fast hash of them tells nothing. */
const SECRET_BYTES = 32;

/** Random bytes from the system, as URL-safe text: 43 characters for 32 bytes. */
export function randomSecret(bytes: number = SECRET_BYTES): string {
  return randomBytes(bytes).toString('base64url');
}

/**
 * SHA-256, as the store keeps of secrets that are random and long, and as maps name what must not stay in
 * memory as text. `base64url` for what is a key of a document. Never for passwords.
 */
export function hashOf(text: string, encoding: 'base64' | 'base64url' = 'base64'): string {
  return createHash('sha256').update(text).digest(encoding);
}

/** Compares two texts in a time that tells nothing of them but their lengths. */
export function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
