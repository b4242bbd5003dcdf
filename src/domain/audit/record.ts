import { createHmac } from 'node:crypto';

import type { Reason } from '../../errors/reason.ts';
import { isSame } from '../../platform/secrets.ts';

/** The collection of audit records: the key is the number, the body the record as JSON. */
export const AUDIT = '$audit';

/** How what was asked for ended. */
export type AuditResult = 'success' | 'denied' | 'failure';

/** What is told to the audit log. Texts over their bound are cut, with a mark at the end. */
export interface AuditEntry {
  /** A dotted name, such as `session.login`. */
  readonly action: string;
  readonly result: AuditResult;
  /** The user or client; empty when nobody is known. */
  readonly actor?: string;
  /** Who really acts when the actor is impersonated; empty when it is not. */
  readonly impersonator?: string;
  /** The id of the token or key, never the credential itself. */
  readonly credentialId?: string;
  /** The peer's address, without port. */
  readonly address?: string;
  readonly requestId?: string;
  /** What was acted on: a user name, a collection, a token id, an RPC. */
  readonly resource?: string;
  /** Why it was denied or failed; empty for a success. */
  readonly reason?: Reason | '';
  /** At most 16 short texts by name; more are left out. Never a secret or a document body. */
  readonly details?: Readonly<Record<string, string>>;
}

/** An entry with all its fields, each within its bound. */
export interface BoundedEntry extends Required<Omit<AuditEntry, 'reason'>> {
  readonly reason: string;
}

/** A record of the chain. */
export interface AuditRecord extends BoundedEntry {
  /** Dense, from 1. */
  readonly number: number;
  /** When it was written, in Unix milliseconds; never decreases along the numbers. */
  readonly time: number;
  /** The hash of the record before; empty for the first. */
  readonly previousHash: string;
  /** HMAC-SHA-256 over the previous hash and all other fields, in lower-case hex. */
  readonly hash: string;
}

/** The most characters of each text of a record. */
const CHARS_MAX = {
  ...{ actor: 256, impersonator: 256, credentialId: 128, address: 64, requestId: 128 },
  ...{ action: 64, resource: 512, reason: 64 },
} as const;
/** Details of one record, and characters of their names and texts. */
const DETAILS_MAX = 16;
const DETAIL_NAME_CHARS_MAX = 64;
const DETAIL_CHARS_MAX = 512;
/** What ends a text that was cut. */
const CUT = '…';

const NUMBER_CHARS = 16;
/** Of more digits no number is taken: they would not be exact any more. */
const KEY = /^0\d{15}$/;
const HASH = /^[0-9a-f]{64}$/;
const RESULTS: readonly unknown[] = ['success', 'denied', 'failure'];

/** The key of the record with this number: keys sort as numbers do. */
export function keyOf(number: number): string {
  return String(number).padStart(NUMBER_CHARS, '0');
}

/** The number of a key; undefined when it is no key of a record. */
export function numberOf(key: string): number | undefined {
  return KEY.test(key) ? Number(key) : undefined;
}

/** Fills in what is missing and cuts what is too long. */
export function bounded(entry: AuditEntry): BoundedEntry {
  return {
    actor: cut(entry.actor, CHARS_MAX.actor),
    impersonator: cut(entry.impersonator, CHARS_MAX.impersonator),
    credentialId: cut(entry.credentialId, CHARS_MAX.credentialId),
    address: cut(entry.address, CHARS_MAX.address),
    requestId: cut(entry.requestId, CHARS_MAX.requestId),
    action: cut(entry.action, CHARS_MAX.action),
    resource: cut(entry.resource, CHARS_MAX.resource),
    result: entry.result,
    reason: cut(entry.reason, CHARS_MAX.reason),
    details: boundedDetails(entry.details ?? {}),
  };
}

function boundedDetails(details: Readonly<Record<string, string>>): Record<string, string> {
  const pairs = Object.entries(details)
    .slice(0, DETAILS_MAX)
    .map(([name, text]) => [cut(name, DETAIL_NAME_CHARS_MAX), cut(text, DETAIL_CHARS_MAX)]);
  return sorted(Object.fromEntries(pairs) as Record<string, string>);
}

function cut(text = '', charsMax: number): string {
  if (text.length <= charsMax) return text.toWellFormed();
  return `${text.slice(0, charsMax - CUT.length).toWellFormed()}${CUT}`;
}

function sorted(details: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Makes the record that follows `previousHash`. */
export function sealRecord(
  key: Uint8Array,
  content: Omit<AuditRecord, 'hash' | 'previousHash'>,
  previousHash: string,
): AuditRecord {
  return { ...content, previousHash, hash: hashOf(key, content, previousHash) };
}

/** Reports whether a record is as it was sealed with this key. */
export function isGenuine(key: Uint8Array, record: AuditRecord): boolean {
  return isSame(hashOf(key, record, record.previousHash), record.hash);
}

/** The stored text of a record; the same for every order of its members. */
export function bodyOf(record: AuditRecord): string {
  const { previousHash, hash } = record;
  return JSON.stringify({ ...canonical(record), previousHash, hash });
}

/**
 * The record of a stored text; undefined when the text is not exactly what `bodyOf` writes. Nothing can
 * be added to a record that its hash does not cover.
 */
export function parseRecord(body: string): AuditRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  return isRecord(value) && bodyOf(value) === body ? value : undefined;
}

function isRecord(value: unknown): value is AuditRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const { number, time, hash, previousHash, details, result } = fields;
  return (
    Number.isSafeInteger(number) &&
    Number.isSafeInteger(time) &&
    Object.keys(CHARS_MAX).every((name) => typeof fields[name] === 'string') &&
    RESULTS.includes(result) &&
    typeof hash === 'string' &&
    HASH.test(hash) &&
    typeof previousHash === 'string' &&
    (previousHash === '' || HASH.test(previousHash)) &&
    isDetails(details)
  );
}

function isDetails(details: unknown): boolean {
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return false;
  return Object.values(details).every((text) => typeof text === 'string');
}

type Content = Omit<AuditRecord, 'hash' | 'previousHash'>;

function canonical(record: Content): Content {
  const { number, time, actor, impersonator, credentialId, address, requestId } = record;
  const { action, resource, result, reason, details } = record;
  return {
    ...{ number, time, actor, impersonator, credentialId, address, requestId },
    ...{ action, resource, result, reason, details: sorted(details) },
  };
}

function hashOf(key: Uint8Array, content: Content, previousHash: string): string {
  return macOf(key, 'record/1', `${previousHash}\n${JSON.stringify(canonical(content))}`);
}

/** HMAC-SHA-256 of a text for one purpose, in lower-case hex. */
export function macOf(key: Uint8Array, purpose: string, text: string): string {
  return createHmac('sha256', key).update(`audit ${purpose}\n${text}`).digest('hex');
}
