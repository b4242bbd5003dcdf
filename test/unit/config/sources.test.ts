import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';

import { explainConfig } from '../../../src/config/explain.ts';
import { judgeConfig } from '../../../src/config/load.ts';
import type { Option } from '../../../src/config/option.ts';
import { OPTIONS, variableOf } from '../../../src/config/options.ts';
import { isPrivate } from '../../../src/config/refusals/secrets.ts';
import { writeTemplate } from '../../../src/config/template.ts';
import type { Sources } from '../../../src/config/values.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const SECRETS = OPTIONS.filter(({ isSecret }) => isSecret).map(({ name }) => name);

function portOf(sources: Sources): readonly [string | undefined, string | undefined] {
  const found = explainConfig(sources).options.find(({ name }) => name === 'port');
  return [found?.value, found?.origin];
}

/** Four values, neighbours of which differ. */
function samplesOf(type: Option['type']): readonly string[] {
  if (type.kind === 'switch') return ['true', 'false', 'true', 'false'];
  if (type.kind === 'whole') return [3, 2, 1, 0].map((more) => String(type.min + more));
  if (type.kind === 'choice') return [0, 1, 0, 1].map((at) => type.choices[at] ?? '');
  return ['flag', 'variable', 'dot-env', 'key'];
}

describe('the sources of a configuration', () => {
  it('win in the order flag, variable, .env, file, default', () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'molten.toml');
    writeFileSync(file, 'port = 4');
    writeFileSync(join(directory.path, '.env'), `MOLTENDB_PORT=3\nMOLTENDB_CONFIG=${file}\n`);
    const environment = { MOLTENDB_PORT: '2' };
    const flags = { port: '1' };
    const there = directory.path;
    expect(portOf({ flags, environment, directory: there })).toEqual(['1', '--port']);
    expect(portOf({ flags: {}, environment, directory: there })).toEqual(['2', 'MOLTENDB_PORT']);
    expect(portOf({ flags: {}, environment: {}, directory: there })).toEqual([
      '3',
      'MOLTENDB_PORT in .env',
    ]);
    expect(portOf({ flags: { config: file }, environment: {} })).toEqual(['4', `port in ${file}`]);
    expect(portOf({ flags: {}, environment: {} })).toEqual(['1538', 'default']);
  });

  it.each([...OPTIONS])('win in that order for --$name', ({ name, type, isSecret, fallback }) => {
    using directory = createTemporaryDirectory();
    const [flag = '', variable = '', dotEnv = '', key = ''] = samplesOf(type);
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, `${name} = ${type.kind === 'switch' ? key : JSON.stringify(key)}`);
    const own = variableOf(name);
    const there = { directory: directory.path };
    writeFileSync(join(directory.path, '.env'), `${own}=${dotEnv}\n`);
    const given = type.kind === 'switch' ? flag === 'true' : flag;
    const sources: readonly (readonly [Sources, string | undefined, string])[] = [
      [
        { flags: { config, [name]: given }, environment: { [own]: variable }, ...there },
        ...([flag, `--${name}`] as const),
      ],
      [{ flags: { config }, environment: { [own]: variable }, ...there }, variable, own],
      [{ flags: { config }, environment: {}, ...there }, dotEnv, `${own} in .env`],
      [{ flags: { config }, environment: {} }, key, `${name} in ${config}`],
      [{ flags: {}, environment: {} }, fallback, 'default'],
    ];
    for (const [source, text, origin] of sources) {
      const found = judgeConfig(source).values.get(name);
      if (text === undefined) expect(found).toBeUndefined();
      else expect(found).toMatchObject({ text, origin });
      const shown = explainConfig(source).options.find((one) => one.name === name);
      if (isSecret === true && text !== undefined) expect(shown?.value).toBe('********');
    }
  });

  it('leaves the variables of others in .env alone, and knows its own typing errors', () => {
    using directory = createTemporaryDirectory();
    const text = '# ours\nEDITOR=vi\nexport MOLTENDB_PROT="1"\nMOLTENDB_HOST=localhost\n';
    writeFileSync(join(directory.path, '.env'), text);
    const { faults } = explainConfig({ flags: {}, environment: {}, directory: directory.path });
    expect(faults).toEqual([
      { key: 'MOLTENDB_PROT in .env', problem: 'is unknown; did you mean MOLTENDB_PORT?' },
    ]);
  });

  it('tells faults of every kind at once', () => {
    const environment = { MOLTENDB_PROT: '1', MOLTENDB_CACHE_SIZE: 'much' };
    const { faults } = judgeConfig({ flags: { host: '0.0.0.0' }, environment });
    expect(faults.map(({ key }) => key)).toEqual([
      'MOLTENDB_PROT',
      'MOLTENDB_CACHE_SIZE',
      '--jwt-secret',
      '--root-password',
      '--host',
    ]);
  });

  it('tells where a file is no TOML, and never what stands there', () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, '# ours\njwt-secret = "hunter2 and more of it\n');
    const { faults } = explainConfig({ flags: { config }, environment: {} });
    expect(faults).toEqual([
      {
        key: '--config',
        problem: `names '${config}', which cannot be used: it is not TOML at line 2, column 37`,
      },
    ]);
  });

  it('refuse what was left empty, which is no path and no name', () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, 'archive-dir = ""\nencryption-key = ""\ncors-origin = ""\n', {
      mode: 0o600,
    });
    const flags = { config, 'db-path': '', 'dev-mode': true };
    const problem = 'is empty; give a value, or leave it out';
    expect(judgeConfig({ flags, environment: {} }).faults).toEqual([
      { key: '--db-path', problem },
      { key: `archive-dir in ${config}`, problem },
      { key: `encryption-key in ${config}`, problem },
    ]);
  });

  it.each(SECRETS)('take --%s from a file, by flag, variable and key', (name) => {
    using directory = createTemporaryDirectory();
    const secret = join(directory.path, 'secret');
    const config = join(directory.path, 'molten.toml');
    writeFileSync(secret, `the ${name} of a test, long enough for all\n`, { mode: 0o600 });
    writeFileSync(config, `${name}-file = ${JSON.stringify(secret)}`);
    const sources: readonly Sources[] = [
      { flags: { [`${name}-file`]: secret }, environment: {} },
      { flags: {}, environment: { [variableOf(`${name}-file`)]: secret } },
      { flags: { config }, environment: {} },
    ];
    for (const source of sources) {
      const { options, faults } = explainConfig(source);
      expect(faults).toEqual([]);
      expect(options.find((option) => option.name === name)?.value).toBe('********');
      expect(judgeConfig(source).values.get(name)?.text).toMatch(/^the .* for all$/);
    }
    const both = { [name]: 'x', [`${name}-file`]: secret };
    expect(explainConfig({ flags: both, environment: {} }).faults).toHaveLength(1);
    // A nearer source wins with whichever form it has.
    const nearer = {
      flags: { [name]: 'x' },
      environment: { [variableOf(`${name}-file`)]: secret },
    };
    expect(explainConfig(nearer).faults).toEqual([]);
    expect(statSync(secret).mode & 0o077).toBe(0);
  });

  it('refuses a file of secrets that others can read, and says it once per file', () => {
    using directory = createTemporaryDirectory();
    const config = join(directory.path, 'molten.toml');
    writeFileSync(config, 'jwt-secret = "x"\nencryption-key = "y"\n');
    chmodSync(config, 0o640);
    const { faults } = judgeConfig({ flags: { config }, environment: {} });
    expect(faults.filter(({ problem }) => problem.includes('chmod 600'))).toHaveLength(1);
  });

  it.each([
    { mode: 0o600, uid: 1000, user: 1000, isPrivate: true },
    { mode: 0o440, uid: 0, user: 1000, isPrivate: true },
    { mode: 0o640, uid: 0, user: 1000, isPrivate: true },
    { mode: 0o440, uid: 0, user: 0, isPrivate: false },
    { mode: 0o440, uid: 1000, user: 1000, isPrivate: false },
    { mode: 0o440, uid: 1001, user: 1000, isPrivate: false },
    { mode: 0o460, uid: 0, user: 1000, isPrivate: false },
    { mode: 0o450, uid: 0, user: 1000, isPrivate: false },
    { mode: 0o444, uid: 0, user: 1000, isPrivate: false },
  ])('find a file of secrets private or not: %o', ({ mode, uid, user, ...wanted }) => {
    expect(isPrivate({ mode: mode | 0o100000, uid }, user)).toBe(wanted.isPrivate);
  });
});

describe('what a configuration shows', () => {
  const KNOWN = 's3cret';

  /** Everything that is said of a value: what explains it, and what is wrong with it. */
  function toldOf(name: string, value: string): string {
    const sources = { flags: { [name]: value }, environment: {} };
    const { faults, warnings } = judgeConfig(sources);
    return JSON.stringify([explainConfig(sources), faults, warnings]);
  }

  function shownOf(name: string, value: string): string | undefined {
    const { options } = explainConfig({ flags: { [name]: value }, environment: {} });
    return options.find((one) => one.name === name)?.value;
  }

  it.each([
    ...['postgres://app:correct s3cret horse@db/x', 'postgres://app:se,s3cret/et@db/x'],
    ...['postgres://app:1234/s3cret@db', 'https://u:12#s3cret@h', 'https://u:12?s3cret@h'],
    ...['app:s3cret@db:5432/x', 'postgres:app:s3cret@h', '//app:s3cret@h', 'https://s3cret@h'],
    ...['postgres://app:1234/s3cret%40db', 'postgres://app:a@b@s3cret@db', 'ldap://:s3cret@h'],
    ...['host=db user=app password=s3cret', "password = 'a s3cret' host=db"],
    ...['https://h/a?sslpassword=s3cret', 'https://h/a?x-api-key=s3cret'],
    ...['https://h/a?b=c&access_key=s3cret', 'https://h/a?sig=s3cret', 'https://h/a?key=s3cret'],
  ])('is never a password, in whichever option it is: %s', (value) => {
    const names = OPTIONS.map(({ name }) => name);
    expect(names.filter((name) => toldOf(name, value).includes(KNOWN))).toEqual([]);
  });

  it.each([
    ['storage-url', 'postgres://app@db.example.org:5432/x?schema=a&sslmode=verify-full'],
    ['storage-url', 'postgresql://app@[::1]/x?sslrootcert=/etc/ca.pem'],
    ['ldap-url', 'ldaps://ldap.example.org:636'],
    ['oidc-issuer', 'https://issuer.example.org/realms/main'],
    ['otlp-endpoint', 'http://127.0.0.1:4318'],
    ['alert-webhook-url', 'https://hooks.example.org/a/b'],
    ['cors-origin', 'https://a.example,https://b.example:8443'],
    ['ldap-bind-dn', 'molten@example.org'],
    ['ldap-user-filter', '(&(uid={username})(mail=*@example.org))'],
    ['trusted-proxy', 'fd00::/8,10.0.0.0/8'],
  ])('is all of --%s where it can hide no password: %s', (name, value) => {
    expect(shownOf(name, value)).toBe(value);
  });

  it('is no parameter of an address but those that are known, and no value with another scheme', () => {
    const address = 'https://hooks.example.org/a';
    expect(shownOf('alert-webhook-url', `${address}?s3cret`)).toBe(`${address}?********`);
    expect(shownOf('storage-url', 'postgres://app@db/x?schema=a&pw=s3cret')).toBe(
      'postgres://app@db/x?********',
    );
    expect(shownOf('alert-webhook-url', 'ftp://hooks.example.org/a')).toBe('********');
    expect(shownOf('otlp-endpoint', '')).toBe('');
  });

  it('is every default', () => {
    const { options } = explainConfig({ flags: {}, environment: {} });
    const defaults = OPTIONS.map(({ name, fallback }) => [name, fallback]);
    expect(options.map(({ name, value }) => [name, value])).toEqual(defaults);
  });

  it('is the name of a parameter of a database that is unknown, for who has to mend it', () => {
    const told = toldOf('storage-url', 'postgres://app@db/x?sslmod=s3cret');
    expect(told).toContain("has the unknown parameter 'sslmod'; did you mean 'sslmode'?");
    expect(told).not.toContain(KNOWN);
  });
});

describe('the file that is written to start from', () => {
  it('has every option, and says what holds without it', () => {
    const uncommented = writeTemplate()
      .split('\n')
      .map((line) => line.replace(/^# (?=[a-z-]+ = )/, ''));
    const table = parse(uncommented.join('\n')) as Record<string, string | string[] | number>;
    expect(Object.keys(table)).toEqual(
      OPTIONS.map(({ name, isSecret }) => (isSecret === true ? `${name}-file` : name)),
    );
    for (const { name, fallback } of OPTIONS) {
      if (fallback === undefined) continue;
      const value = table[name];
      expect(Array.isArray(value) ? value.join(',') : String(value)).toBe(fallback);
    }
  });

  it('changes nothing as it is', () => {
    expect(parse(writeTemplate())).toEqual({});
  });
});
