/**
 * Whoever comes from MoltenDB keeps flags and variables: each is taken, and a default that is another is
 * in the table of differences.
 */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { configFlags } from '../../../cli/lib/config-flags.ts';
import { explainConfig } from '../../../src/config/explain.ts';
import { OPTIONS } from '../../../src/config/options.ts';

interface Original {
  readonly flag: string;
  readonly variable: string;
  /** As its documentation says; undefined: none. */
  readonly fallback: string | undefined;
  readonly sample: string;
}

const ORIGINALS: readonly Original[] = (
  [
    ['host', 'HOST', '0.0.0.0', '127.0.0.1'],
    ['port', 'PORT', '1538', '1539'],
    ['db-path', 'DB_PATH', 'my_database.log', './elsewhere'],
    ['cert', 'TLS_CERT', 'cert.pem', 'other.pem'],
    ['key', 'TLS_KEY', 'key.pem', 'other-key.pem'],
    ['dev-mode', 'DEV_MODE', 'false', 'true'],
    ['encryption-key', 'ENCRYPTION_KEY', undefined, 'a key that is long enough'],
    ['disable-encryption', 'DISABLE_ENCRYPTION', 'false', 'true'],
    ['storage-mode', 'STORAGE_MODE', 'standard', 'tiered'],
    ['hot-threshold', 'HOT_THRESHOLD', '50000', '7'],
    ['write-mode', 'WRITE_MODE', 'async', 'async'],
    ['rate-limit-requests', 'RATE_LIMIT_REQS', '100', '7'],
    ['rate-limit-window', 'RATE_LIMIT_WINDOW', '60', '7'],
    ['jwt-secret', 'JWT_SECRET', undefined, 'thirty-two bytes and more, for a test'],
    ['root-user', 'ROOT_USER', undefined, 'admin'],
    ['root-password', 'ROOT_PASSWORD', undefined, 'a password long enough'],
    ['root-token-ttl', 'ROOT_TOKEN_TTL', '86400', '3600'],
    ['max-body-size', 'MAX_BODY_SIZE', '10485760', '4096'],
    ['max-keys-per-request', 'MAX_KEYS_PER_REQUEST', '1000', '7'],
    ['cors-origin', 'CORS_ORIGIN', '*', 'https://app.example'],
    ['post-backup-script', 'POST_BACKUP_SCRIPT', undefined, './hook.sh'],
    ['debug', 'DEBUG', 'false', 'true'],
  ] as const
).map(([flag, variable, fallback, sample]) => ({ flag, variable, fallback, sample }));

const differences = readFileSync('docs/reference/moltendb-compatibility.md', 'utf8');

describe('an option of MoltenDB', () => {
  it.each(ORIGINALS)('--$flag is a flag and MOLTENDB_$variable its variable', (original) => {
    const { flag, variable, sample } = original;
    const [name] =
      Object.entries(configFlags).find(
        ([own, { aliases = [] }]) => own === flag || aliases.includes(flag),
      ) ?? [];
    expect(name).toBeDefined();
    const environment = { [`MOLTENDB_${variable}`]: sample };
    const { options, faults } = explainConfig({ flags: {}, environment });
    expect(faults).toEqual([]);
    const read = options.find((option) => option.name === name);
    expect(read?.origin).toBe(`MOLTENDB_${variable}`);
    expect([sample, '********']).toContain(read?.value);
  });

  it.each(ORIGINALS)('--$flag has its default, or is among the differences', (original) => {
    const { flag, fallback } = original;
    const option = OPTIONS.find((one) => one.name === flag || one.formerName === flag);
    if (option?.fallback !== fallback) {
      expect(differences).toMatch(new RegExp(`^\\| \`--${flag}\``, 'm'));
    }
  });
});
