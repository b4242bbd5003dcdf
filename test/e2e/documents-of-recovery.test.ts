/** Runs the commands of the page about backup and recovery, as they stand, on a store in a directory. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { systemClock } from '../../src/platform/clock.ts';
import { delay } from '../../src/platform/timers.ts';
import { MOLTEN } from '../support/molten.ts';
import { blocksOf, FOLLOW_MS } from '../support/pages.ts';
import { startServe } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

describe('the page about backup and recovery', () => {
  it(
    'undoes a mistake and rebuilds a lost store, by its own commands',
    async () => {
      using directory = createTemporaryDirectory();
      const server = await startServe({
        args: ['--dev-mode', '--port', '0', '--archive-dir', './log'],
        directory: directory.path,
      });
      const secrets = join(directory.path, 'data/development-secrets');
      const run = (script: string, change: Readonly<Record<string, string>> = {}): string => {
        const command = Object.entries({
          'npx molten': `"${process.execPath}" "${MOLTEN}"`,
          ...change,
        });
        return execFileSync(
          'bash',
          [
            '-euo',
            'pipefail',
            '-c',
            command.reduce((text, [from, to]) => text.replaceAll(from, to), script),
          ],
          {
            cwd: directory.path,
            encoding: 'utf8',
            env: {
              ...{
                PATH: process.env['PATH'],
                HOME: directory.path,
                XDG_CONFIG_HOME: directory.path,
              },
              MOLTEN_URL: server.url,
              MOLTENDB_ENCRYPTION_KEY: readFileSync(
                join(secrets, 'encryption-key'),
                'utf8',
              ).trimEnd(),
            },
          },
        );
      };
      const [snapshots = '', restores = '', recover = '', rebuild = '', exports = ''] = blocksOf(
        'docs/operating/backup-and-recovery.md',
      );
      run(`npx molten login --password-file "${join(secrets, 'root-password')}"`);
      run(`npx molten docs set orders one '{"total": 1}'`);
      expect(run(exports)).toContain('1 documents imported into orders-again');
      const name = run(snapshots).split('\n')[0] ?? '';
      const sequence = String(JSON.parse(run('npx molten status --json')).sequence);
      await delay(20);
      const moment = { '2026-01-31T23:59:59Z': new Date(systemClock.now()).toISOString() };
      await delay(20);
      run('npx molten docs delete orders one');
      expect(run(restores, moment)).toContain('1 documents written to orders-then');
      await server.stop('SIGTERM');
      expect(run(recover, { 4711: sequence })).toContain('what was there is in');
      const rebuilt = run(rebuild, {
        '/backup/20260131T030000000Z-0000000000004711': `data/snapshots/${name}`,
        '/backup/log': './log',
        '--out ./recovered': '--out ./rebuilt',
      });
      expect(rebuilt).toContain('is recovered');
    },
    FOLLOW_MS,
  );
});
