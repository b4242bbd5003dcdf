/**
 * Scopes: what a credential may do. One scope is `action:collection:key`; a set of them grants the union.
 *
 * - Actions on documents are `read`, `write`, `delete` and `schema`; `admin` is all four of them. Their
 *   collection is a name or `*`, their key a key, a prefix that ends in `*`, or `*`.
 * - Actions on the store (`snapshot`, `users`, `tokens`, …) are granted whole: `users:*:*`. No scope on a
 *   collection, `admin:orders:*` included, ever implies one of them.
 * - `*:*:*` is the administrator: every action on everything.
 * - Two scopes take away instead of granting. `hide:collection:field`: the field, and what is below it,
 *   does not exist for the holder, whatever else grants it. `only:collection:*`: what the holder may do
 *   in this collection is granted by the scopes that name it, and by none for every collection.
 */
import { DomainError } from '../../errors/domain-error.ts';

/** What a scope allows to do with documents. */
export const DOCUMENT_ACTIONS = ['read', 'write', 'delete', 'schema', 'admin'] as const;

/** What a scope allows to do with the store as a whole. */
export const STORE_ACTIONS = [
  'snapshot',
  'system',
  'users',
  'tokens',
  'keys',
  'audit',
  'impersonate',
] as const;

/** What a scope allows to do. */
export const ACTIONS: readonly Action[] = [...DOCUMENT_ACTIONS, ...STORE_ACTIONS];

/** One of ACTIONS. */
export type Action = (typeof DOCUMENT_ACTIONS)[number] | (typeof STORE_ACTIONS)[number];

/** Which keys one scope grants. */
export type KeyPattern =
  | { readonly kind: 'all' }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'prefix'; readonly prefix: string };

/** A scope that grants. */
export interface Grant {
  readonly kind: 'grant';
  /** In its shortest form. */
  readonly text: string;
  /** `all` is the administrator's. */
  readonly action: Action | 'all';
  /** A collection name; undefined: every collection. */
  readonly collection: string | undefined;
  readonly key: KeyPattern;
}

/** A scope that takes a field away. */
export interface Hiding {
  readonly kind: 'hiding';
  readonly text: string;
  /** A collection name; undefined: every collection. */
  readonly collection: string | undefined;
  /** Names with dots between them. */
  readonly field: string;
}

/** A scope that exempts a collection from what is granted for all. */
export interface Exemption {
  readonly kind: 'exemption';
  readonly text: string;
  readonly collection: string;
}

/** One parsed scope. */
export type Scope = Grant | Restriction;
/** One that takes away; whoever delegates passes it on. */
export type Restriction = Hiding | Exemption;

/** The longest scope that is taken, in characters. */
export const SCOPE_CHARS_MAX = 512;
/** The scope of the administrator. */
export const ADMINISTRATOR = '*:*:*';

const COLLECTION = /^[A-Za-z0-9_-]{1,64}$/;
const KEY = /^[A-Za-z0-9_.-]{1,256}$/;
const PREFIX = /^[A-Za-z0-9_.-]{1,255}\*$/;
const FIELD = /^[^\s:*.]+(\.[^\s:*.]+){0,31}$/u;

/** Parses one scope. ARGUMENT_INVALID, naming the part at fault, when it is none. */
export function parseScope(text: string): Scope {
  if (text.length > SCOPE_CHARS_MAX) {
    throw invalid(text.slice(0, 32), `is longer than ${SCOPE_CHARS_MAX.toString()} characters`);
  }
  const parts = text.split(':');
  const [action = '', collection = '', key = ''] = parts;
  if (parts.length !== 3) throw invalid(text, 'must have three parts, `action:collection:key`');
  if (text === ADMINISTRATOR)
    return grant({ action: 'all', collection: '*', key: { kind: 'all' } });
  if (action === 'hide') return parseHiding(text, collection, key);
  if (action === 'only') return parseExemption(text, collection, key);
  return parseGrant(text, { action, collection, key });
}

function parseGrant(
  text: string,
  parts: { readonly action: string; readonly collection: string; readonly key: string },
): Grant {
  const action = ACTIONS.find((one) => one === parts.action);
  if (action === undefined) {
    const known = ACTIONS.join(', ');
    throw invalid(text, `has an unknown action; use ${known}, hide, only, or \`${ADMINISTRATOR}\``);
  }
  const isWhole = parts.collection === '*' && parts.key === '*';
  if (isStoreAction(action) && !isWhole) {
    throw invalid(text, `can only be granted whole; use \`${action}:*:*\``);
  }
  checkCollection(text, parts.collection);
  return grant({ action, collection: parts.collection, key: parseKey(text, parts.key) });
}

function parseHiding(text: string, collection: string, field: string): Hiding {
  checkCollection(text, collection);
  if (!FIELD.test(field)) {
    throw invalid(
      text,
      'has an invalid field; use names with dots between them, such as `pay.base`',
    );
  }
  return { kind: 'hiding', text, collection: collection === '*' ? undefined : collection, field };
}

function parseExemption(text: string, collection: string, key: string): Exemption {
  if (collection === '*' || key !== '*') {
    throw invalid(text, 'names no collection as a whole; use `only:<collection>:*`');
  }
  checkCollection(text, collection);
  return { kind: 'exemption', text, collection };
}

function checkCollection(text: string, collection: string): void {
  if (collection === '*' || COLLECTION.test(collection)) return;
  throw invalid(text, 'has an invalid collection; use a name (A-Z a-z 0-9 _ -, 1 to 64) or `*`');
}

function parseKey(text: string, key: string): KeyPattern {
  if (key === '*') return { kind: 'all' };
  if (KEY.test(key)) return { kind: 'key', key };
  if (PREFIX.test(key)) return { kind: 'prefix', prefix: key.slice(0, -1) };
  throw invalid(
    text,
    'has an invalid key; use a key (A-Z a-z 0-9 _ . -, 1 to 256), a prefix that ends in `*`, or `*`',
  );
}

/** Reports whether an action is on the store as a whole. */
export function isStoreAction(action: Action): boolean {
  return STORE_ACTIONS.some((one) => one === action);
}

/** A grant from its parts; the collection may be `*`. */
export function grant(parts: {
  readonly action: Action | 'all';
  readonly collection: string;
  readonly key: KeyPattern;
}): Grant {
  const { action, collection, key } = parts;
  const text = `${action === 'all' ? '*' : action}:${collection}:${keyText(key)}`;
  return {
    kind: 'grant',
    text,
    action,
    collection: collection === '*' ? undefined : collection,
    key,
  };
}

function keyText(pattern: KeyPattern): string {
  switch (pattern.kind) {
    case 'all':
      return '*';
    case 'key':
      return pattern.key;
    case 'prefix':
      return `${pattern.prefix}*`;
  }
}

function invalid(text: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `scope '${text}' ${problem}`, {
    metadata: { scope: text },
    violations: [{ field: 'scopes', description: `scope '${text}' ${problem}` }],
  });
}
