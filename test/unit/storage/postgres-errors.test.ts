import pg from 'pg';
import { describe, expect, it } from 'vitest';

import { isConnectionLost, sqlState, translate } from '../../../src/storage/postgres/errors.ts';

function ofDatabase(code: string): Error {
  return Object.assign(new pg.DatabaseError('said', 0, 'error'), { code });
}

describe('an error of a database', () => {
  it('is told from one of the network, whatever its code looks like', () => {
    expect(sqlState(ofDatabase('40001'))).toBe('40001');
    // Five capitals, as a state has: nothing is certain about what was sent.
    expect(sqlState(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBeUndefined();
  });

  it('of a server that takes no writes is a lost connection', () => {
    for (const state of ['25006', '57P01', '08006', '25P03']) {
      expect(isConnectionLost(ofDatabase(state)), state).toBe(true);
      expect(translate(ofDatabase(state)).reason, state).toBe('ENGINE_UNAVAILABLE');
    }
    expect(isConnectionLost(ofDatabase('40001'))).toBe(false);
    expect(translate(ofDatabase('53100')).reason).toBe('STORAGE_FULL');
  });
});
