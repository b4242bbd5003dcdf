import { createHmac } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { isSame } from '../../platform/secrets.ts';
import { COUNT_DEFAULT, COUNT_MAX } from './limits.ts';

/** A page of a list ordered by name. */
export interface NamePage {
  /** The last name of the page before; empty: the first page. */
  readonly after: string;
  readonly limit: number;
}

/** Page tokens of one list ordered by name. */
export interface NamePages {
  /** PAGE_TOKEN_INVALID when the token was not made by this server for this list. */
  open(pageToken: string, pageSize: number): NamePage;
  /** The token of the page after `last`; the empty name is the end. */
  seal(last: string): string;
}

const SIGNATURE_CHARS = 43;

/** Creates the tokens of the list that `call` names. */
export function createNamePages(key: Uint8Array, call: string): NamePages {
  const sign = (name: string): string =>
    createHmac('sha256', key)
      .update(JSON.stringify(['names/1', call, name]))
      .digest('base64url');
  return {
    open(pageToken, pageSize) {
      const limit = pageSize === 0 ? COUNT_DEFAULT : Math.min(pageSize, COUNT_MAX);
      if (pageToken === '') return { after: '', limit };
      const after = Buffer.from(pageToken.slice(SIGNATURE_CHARS), 'base64url').toString();
      if (isSame(pageToken.slice(0, SIGNATURE_CHARS), sign(after))) return { after, limit };
      throw new DomainError(
        'PAGE_TOKEN_INVALID',
        'the page token was not made for this list; start again without a token',
      );
    },
    seal: (last) => (last === '' ? '' : sign(last) + Buffer.from(last).toString('base64url')),
  };
}
