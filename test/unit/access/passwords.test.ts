import { hash } from 'argon2';
import { describe, expect, it } from 'vitest';

import { createPasswords } from '../../../src/domain/access/passwords.ts';

describe('the hash of a password', () => {
  it('is Argon2id with 19 MiB, 2 passes and 1 lane, and another one each time', async () => {
    const passwords = createPasswords();
    const [one, other] = await Promise.all([
      passwords.hash('a word'),
      passwords.hash('a word'),
    ]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,p=1,t=2\$/);
    expect(other).not.toBe(one);
    expect(await passwords.verify(one, 'a word')).toBe(true);
    expect(await passwords.verify(one, 'a wOrd')).toBe(false);
    expect(await passwords.verify(undefined, 'a word')).toBe(false);
  });

  it('is outdated when it was cheaper', async () => {
    const passwords = createPasswords();
    expect(passwords.isOutdated(await passwords.hash('a word'))).toBe(false);
    const cheap = await hash('a word', { memoryCost: 8192, timeCost: 2, parallelism: 1 });
    expect(passwords.isOutdated(cheap)).toBe(true);
  });
});
