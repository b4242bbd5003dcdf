import { existsSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openProfiles } from '../../../cli/lib/profiles.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

describe('profiles', () => {
  it('keep a token where only its owner reads it, and write through nothing that was put there', () => {
    using directory = createTemporaryDirectory();
    const elsewhere = join(directory.path, 'elsewhere');
    symlinkSync(elsewhere, join(directory.path, 'profiles.json.tmp'));
    const profiles = openProfiles(directory.path);
    profiles.save('default', { url: 'http://a.example.org', token: 'secret' });
    expect(profiles.find('default')?.token).toBe('secret');
    expect(statSync(join(directory.path, 'profiles.json')).mode & 0o777).toBe(0o600);
    expect(existsSync(elsewhere)).toBe(false);
    expect(readdirSync(directory.path).sort()).toEqual(['profiles.json', 'profiles.json.tmp']);
  });

  it('forget a token and keep the address; names that every object has are none of theirs', () => {
    using directory = createTemporaryDirectory();
    const profiles = openProfiles(directory.path);
    profiles.save('default', { url: 'http://a.example.org', token: 'secret' });
    profiles.forgetToken('default');
    profiles.forgetToken('toString');
    expect(profiles.find('default')).toEqual({ url: 'http://a.example.org' });
    expect(profiles.find('toString')).toBeUndefined();
  });
});
