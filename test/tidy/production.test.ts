/** The production guide, the unit and the compose file fit each other: what one names the others have. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse as parseToml } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';

import { OPTIONS } from '../../src/config/options.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const guide = textOf('docs/operating/production.md');
const unit = textOf('deploy/moltendb.service');

/** Every value of a setting of the unit, one word each. */
function wordsOf(setting: string): readonly string[] {
  const lines = [...unit.matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))];
  return lines.flatMap(([, value = '']) => value.split(' ').filter((word) => word !== ''));
}

/** What the guide writes into a configuration file, in the order of its page. */
function configured(): readonly (readonly [name: string, path: string])[] {
  const [, toml = ''] = /```toml\n([\s\S]*?)```/.exec(guide) ?? [];
  return Object.entries(parseToml(toml)).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1].startsWith('/'),
  );
}

/** Options with a path that is only read. */
const READ_ONLY = ['cert', 'key', 'client-ca', 'ldap-ca', 'post-backup-script'];
const isBelow = (path: string, roots: readonly string[]): boolean =>
  roots.some((root) => path === root || path.startsWith(`${root}/`));

describe('the production guide and the systemd unit', () => {
  const writable = [
    ...wordsOf('StateDirectory').map((name) => `/var/lib/${name}`),
    ...wordsOf('LogsDirectory').map((name) => `/var/log/${name}`),
    ...wordsOf('ReadWritePaths').map((path) => path.replace(/^-/, '')),
  ];

  it('write in the same places, and hide nothing that is read', () => {
    expect(wordsOf('ProtectSystem')).toEqual(['strict']);
    const paths = OPTIONS.filter(({ type }) => type.kind === 'path').map(({ name }) => name);
    const written = configured().filter(
      ([name]) => paths.includes(name) && !READ_ONLY.includes(name),
    );
    expect(written.map(([name]) => name)).toEqual(['db-path', 'archive-dir', 'audit-file']);
    expect(written.filter(([, path]) => !isBelow(path, writable))).toEqual([]);
    // Where the unit shows others, or nothing.
    const hidden = ['/home', '/root', '/run/user', '/tmp', '/var/tmp', '/dev'];
    expect(configured().filter(([, path]) => isBelow(path, hidden))).toEqual([]);
  });

  it('agree on the command, the user and the directories that somebody has to make', () => {
    const [command = '', , , config = ''] = wordsOf('ExecStart');
    const [, prefix = ''] = /npm install --global --prefix (\S+)/.exec(guide) ?? [];
    expect(command).toBe(`${prefix}/bin/molten`);
    expect(guide).toContain(`# ${config}`);
    const [user = ''] = wordsOf('User');
    expect(guide).toMatch(new RegExp(`useradd --system .* ${user}$`, 'm'));
    const [, made = ''] =
      new RegExp(`install -d -m 700 -o ${user} .*? (/.*)$`, 'm').exec(guide) ?? [];
    expect(made.split(' ').toSorted()).toEqual([dirname(config), ...writable].toSorted());
  });

  it('have the server run again however it ended, unless its configuration was refused', () => {
    expect(wordsOf('Restart')).toEqual(['always']);
    expect(wordsOf('RestartPreventExitStatus')).toEqual(['2']);
  });
});

describe('the certificate of compose.yaml', () => {
  it('is in a directory that is mounted, so that a renewal by rename is seen', () => {
    const { services } = parseYaml(textOf('compose.yaml')) as {
      readonly services: { readonly moltendb: { readonly volumes: readonly string[] } };
    };
    const mounted = services.moltendb.volumes.map((volume) => volume.split(':'));
    const { cert, key } = parseToml(textOf('deploy/molten.toml'));
    for (const name of [cert, key] as string[]) {
      const [source = 'not mounted'] = mounted.find(([, to]) => to === dirname(name)) ?? [];
      expect(statSync(join(ROOT, source), { throwIfNoEntry: false })?.isDirectory(), name).toBe(
        true,
      );
    }
  });
});
