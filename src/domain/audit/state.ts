import { isSame } from '../../platform/secrets.ts';
import { macOf } from './record.ts';

/** The collection of what is known of the chain besides its records. */
export const AUDIT_STATE = '$auditState';
/** The key of the ends of the chain. */
export const ENDS = 'ends';

/** A place in the chain: a record, and its hash. Number 0 and an empty hash: before the first. */
export interface ChainPlace {
  readonly number: number;
  readonly hash: string;
}

/** Where the chain begins and ends; written in the same transaction as what it tells of. */
export interface ChainEnds {
  /** The last record that retention deleted. */
  readonly anchor: ChainPlace;
  /** The newest record. */
  readonly end: ChainPlace;
  /** The time of the newest record, in Unix milliseconds. */
  readonly endTime: number;
  /** Records up to this number were sealed with another secret; 0: none. */
  readonly foreignThrough: number;
}

/** Ends as they were found in the store. */
export interface StoredEnds {
  readonly ends: ChainEnds;
  /** They say that they were sealed with this key, which only its holder can make true. */
  readonly isGenuine: boolean;
  /** They name another key. Anybody can write that; it says nothing by itself. */
  readonly namesOtherKey: boolean;
}

/** The ends of a chain without records. */
export const NO_ENDS: ChainEnds = {
  anchor: { number: 0, hash: '' },
  end: { number: 0, hash: '' },
  ...{ endTime: 0, foreignThrough: 0 },
};

/** The stored text of ends, sealed. */
export function sealEnds(key: Uint8Array, ends: ChainEnds): string {
  const text = canonical(ends);
  return JSON.stringify({ text, keyId: keyIdOf(key), mac: macOf(key, 'ends/1', text) });
}

/** The ends in a stored text; undefined when they cannot be read at all. */
export function parseEnds(key: Uint8Array, body: string): StoredEnds | undefined {
  try {
    const { text, keyId, mac } = JSON.parse(body) as Readonly<Record<string, unknown>>;
    if (typeof text !== 'string' || typeof mac !== 'string') return undefined;
    const ends = JSON.parse(text) as ChainEnds;
    if (!isEnds(ends) || canonical(ends) !== text) return undefined;
    return {
      ends,
      isGenuine: isSame(macOf(key, 'ends/1', text), mac),
      namesOtherKey: keyId !== keyIdOf(key),
    };
  } catch {
    return undefined;
  }
}

function canonical({ anchor, end, endTime, foreignThrough }: ChainEnds): string {
  const place = ({ number, hash }: ChainPlace): ChainPlace => ({ number, hash });
  return JSON.stringify({ anchor: place(anchor), end: place(end), endTime, foreignThrough });
}

function isEnds({ anchor, end, endTime, foreignThrough }: ChainEnds): boolean {
  const places = [anchor, end];
  const numbers = [...places.map(({ number }) => number), endTime, foreignThrough];
  return (
    numbers.every(Number.isSafeInteger) && places.every(({ hash }) => typeof hash === 'string')
  );
}

/** A name of the key that does not help to find it. */
function keyIdOf(key: Uint8Array): string {
  return macOf(key, 'key id', '').slice(0, 16);
}
