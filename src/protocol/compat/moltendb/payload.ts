import { Refusal } from './refusal.ts';

/** The members of a request. */
export type Payload = Readonly<Record<string, unknown>>;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const COUNT_MAX = 1000;
const COUNT_DEFAULT = 100;
const LEVELS_MAX = 32;

/** The JSON object of a body. No bytes are no object. */
export function parsePayload(body: unknown): Payload {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    throw new Refusal('The body is not valid JSON');
  }
  if (!isObject(value)) throw new Refusal('The body must be a JSON object');
  if (isDeeper(value, LEVELS_MAX)) {
    throw new Refusal(`JSON nesting too deep (max ${String(LEVELS_MAX)} levels)`);
  }
  return value;
}

/** Reports whether a value has more levels below it; it looks no deeper than it must. */
function isDeeper(value: unknown, levels: number): boolean {
  if (levels < 0) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((member) => isDeeper(member, levels - 1));
}

/** Reports whether a value is an object and no list. */
export function isObject(value: unknown): value is Payload {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Refuses members that the route does not know. */
export function allowOnly(payload: Payload, known: readonly string[]): void {
  const other = Object.keys(payload).find((name) => !known.includes(name));
  if (other === undefined) return;
  throw new Refusal(`Unknown property: '${other}'. Check the API docs for supported properties`);
}

/** The collection of a request; `default` when it names none. */
export function collectionOf({ collection = 'default' }: Payload): string {
  if (typeof collection === 'string') return collection;
  throw new Refusal("'collection' must be a string");
}

/** The collection that a body names, for the check of scopes; a body that is none names none. */
export function collectionIn({ body }: { readonly body: unknown }): string {
  try {
    return collectionOf(parsePayload(body));
  } catch {
    return '';
  }
}

/** `count`: what is no whole number counts as absent. */
export function countOf({ count }: Payload): number {
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0) return COUNT_DEFAULT;
  if (count > COUNT_MAX) throw new Refusal(`'count' cannot exceed ${String(COUNT_MAX)}`);
  return count;
}

/** `offset`: what is no whole number counts as 0. */
export function offsetOf({ offset }: Payload): number {
  return typeof offset === 'number' && Number.isInteger(offset) && offset > 0 ? offset : 0;
}

/** A positive whole number that may be absent. */
export function wholeOf(value: unknown, min: number, message: string): number | undefined {
  if (value === undefined) return undefined;
  const isWhole = typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
  if (isWhole) return value;
  throw new Refusal(message);
}

/** `keys`: text or a list of texts. Anything else is refused, so that nothing widens by mistake. */
export function keysOf({ keys }: Payload): readonly string[] | undefined {
  if (keys === undefined) return undefined;
  const list: readonly unknown[] = Array.isArray(keys) ? keys : [keys];
  const isSound = list.length > 0 && list.every((key) => typeof key === 'string');
  if (!isSound) throw new Refusal("'keys' must be a string or a non-empty array of strings");
  if (list.length > COUNT_MAX) throw tooManyKeys();
  return [...new Set(list)];
}

/** The error for more keys than one request may name. */
export function tooManyKeys(): Refusal {
  return new Refusal(`Too many keys in single request (max ${String(COUNT_MAX)})`);
}
