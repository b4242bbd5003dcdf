/** Users, tokens and keys by the built command line, against a server in a process of its own. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../src/platform/clock.ts';
import { openBrowser } from '../support/browser.ts';
import { CLIENT, REDIRECT_URI, startIssuer } from '../support/issuer.ts';
import { createMolten, type CommandResult, type Molten } from '../support/molten.ts';
import { startServe, type ServeProcess } from '../support/serve.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const ROOT_PASSWORD = 'orange bicycle under rain';
const ADA_PASSWORD = 'seven violet teapots sing';
const BOB_PASSWORD = 'nine copper kettles hum';
const BOB_NEXT_PASSWORD = 'twelve silver ladders lean';
const API_KEY = /^mk_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\n$/;
const WALK_MS = 600_000;
const STEP_MS = 30_000;

/** A team: its server, its command line, and every secret that was used. */
interface Team {
  readonly molten: Molten;
  readonly directory: string;
  readonly url: string;
  readonly secrets: string[];
}

function startTeamServer(directory: string, ...args: readonly string[]): Promise<ServeProcess> {
  return startServe({
    args: ['--db-path', join(directory, 'store'), '--port', '0', ...args],
    variables: { MOLTENDB_JWT_SECRET: randomBytes(40).toString('base64url') },
  });
}

function teamAt(directory: string, url: string): Team {
  const secrets = [ROOT_PASSWORD, ADA_PASSWORD, BOB_PASSWORD, BOB_NEXT_PASSWORD];
  return { molten: createMolten(directory, { MOLTEN_URL: url }), directory, url, secrets };
}

/** The command line with a token, or an API key, and no profile. */
function withToken({ directory, url }: Team, token: string): Molten {
  const variables = { MOLTEN_URL: url, MOLTEN_TOKEN: token };
  return createMolten(join(directory, 'elsewhere'), variables);
}

async function succeed(run: Promise<CommandResult>): Promise<CommandResult> {
  const result = await run;
  expect([result.code, result.stderr]).toEqual([0, result.stderr]);
  return result;
}

async function login(
  { molten, directory, secrets }: Team,
  name: string,
  password: string,
): Promise<void> {
  const flags = ['--username', name, '--profile', name, '--password-stdin'];
  await succeed(molten.fed(`${password}\n`, 'login', ...flags));
  const file = join(directory, 'molten', 'profiles.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const profiles = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { token: string }>;
  secrets.push(profiles[name]!.token);
}

const asRoot = ['--profile', 'root'];
const asAda = ['--profile', 'ada'];
const asBob = ['--profile', 'bob'];

async function completeSetup({ molten }: Team): Promise<void> {
  expect(await molten.json('setup', '--check')).toEqual({ open: true });
  const early = await molten.fed(`${ROOT_PASSWORD}\n`, 'login', '--password-stdin');
  expect([early.code, early.stderr]).toEqual([6, expect.stringContaining('molten setup')]);
  const setup = ['setup', '--password-stdin'];
  expect((await molten.fed('short\n', ...setup)).code).toBe(3);
  await succeed(molten.fed(`${ROOT_PASSWORD}\n`, ...setup));
  const again = await molten.fed(`${ROOT_PASSWORD}\n`, ...setup);
  expect([again.code, again.stderr]).toEqual([6, expect.stringContaining('SETUP_CLOSED')]);
}

async function makeUsers(team: Team): Promise<void> {
  const { molten, directory } = team;
  await login(team, 'root', ROOT_PASSWORD);
  const scopes = ['read:orders:*', 'write:orders:*', 'hide:orders:card'];
  await succeed(
    molten('roles', 'create', 'clerk', ...scopes.flatMap((one) => ['--scope', one]), ...asRoot),
  );
  const file = join(directory, 'password');
  writeFileSync(file, `${ADA_PASSWORD}\n`);
  const create = ['users', 'create', 'ada', '--role', 'clerk', '--display-name', 'Ada L.'];
  await succeed(molten(...create, '--password-file', file, ...asRoot));
  await succeed(
    molten.fed(`${BOB_PASSWORD}\n`, ...['users', 'create', 'bob', '--password-stdin'], ...asRoot),
  );
  await succeed(molten('users', 'update', 'bob', '--role', 'viewer', ...asRoot));
  const { users } = await molten.json<{ users: { name: string; roles: string[] }[] }>(
    ...['users', 'list', ...asRoot],
  );
  expect(users.map(({ name, roles }) => [name, ...roles])).toEqual([
    ...[
      ['ada', 'clerk'],
      ['bob', 'viewer'],
      ['root', 'admin'],
    ],
  ]);
  await login(team, 'ada', ADA_PASSWORD);
  await login(team, 'bob', BOB_PASSWORD);
  expect((await molten('users', 'list', ...asAda)).code).toBe(4);
}

async function delegateAndRevoke(team: Team): Promise<void> {
  const { molten, secrets } = team;
  await succeed(molten('docs', 'set', 'orders', 'o1', '{"total": 5, "card": "4711"}', ...asRoot));
  const seen = await molten.json<object[]>('docs', 'get', 'orders', 'o1', ...asAda);
  expect(JSON.stringify(seen)).toContain('"total":5');
  expect(JSON.stringify(seen)).not.toContain('4711');

  const made = await molten.json<{ token: string; tokenId: string }>(
    ...['tokens', 'delegate', 'reporting', 'read:orders:*', '--calls-per-minute', '100', ...asAda],
  );
  const reporting = withToken(team, made.token);
  const { stdout, stderr } = await succeed(
    reporting('tokens', 'delegate', 'reporting-part', 'read:orders:o1'),
  );
  const part = stdout.trim();
  secrets.push(made.token, part);
  expect(stderr).toContain('for reporting-part, until ');
  expect((await reporting('docs', 'set', 'orders', 'o2', '{}')).code).toBe(4);

  const tree = (await succeed(molten('tokens', 'tree', ...asAda))).stdout.split('\n');
  expect(tree.slice(0, 3)).toEqual([
    'ada',
    expect.stringMatching(/^└─ reporting {2}read:orders:\* hide:orders:card {2}until 2/),
    expect.stringMatching(/^ {3}└─ reporting-part {2}read:orders:o1 /),
  ]);
  expect(await molten.json('tokens', 'tree', ...asBob)).toEqual({ roots: [] });
  expect((await molten('tokens', 'revoke', made.tokenId, ...asBob)).code).toBe(4);
  const looked = await molten.fed(`${part}\n`, 'tokens', 'inspect', '-', '--json', ...asRoot);
  expect(JSON.parse(looked.stdout)).toMatchObject({ active: true, client: 'reporting-part' });
  expect(await molten.json('tokens', 'inspect', made.tokenId, ...asAda)).toMatchObject({
    ...{ client: 'reporting', callsPerMinute: 100, revoked: false },
  });

  const dry = await succeed(molten('tokens', 'revoke', made.tokenId, '--dry-run', ...asRoot));
  expect(dry.stdout).toContain('would take down 2 delegated tokens, 0 sessions, 0 API keys');
  await succeed(withToken(team, part)('docs', 'get', 'orders', 'o1'));
  const revoked = await succeed(molten('tokens', 'revoke', made.tokenId, ...asAda));
  expect(revoked.stdout).toBe(`${made.tokenId} revoked\n`);
  expect(revoked.stderr).toContain('takes down 2 delegated tokens');
  expect(revoked.stderr).toContain('reporting, reporting-part');
  const refused = await withToken(team, part)('docs', 'get', 'orders', 'o1');
  expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('REVOKED')]);
}

async function useApiKeys(team: Team): Promise<void> {
  const { molten, secrets } = team;
  const create = ['api-keys', 'create', 'the nightly report', '--scope', 'read:orders:*'];
  const { stdout: text, stderr } = await succeed(molten(...create, ...asAda));
  expect(text).toMatch(API_KEY);
  expect(stderr).toContain('of ada; it is not shown again');
  const service = withToken(team, text.trim());
  await succeed(service('docs', 'get', 'orders', 'o1'));
  expect(await service.json('whoami')).toMatchObject({ user: 'ada', credential: 'API key' });
  expect((await service('docs', 'set', 'orders', 'o2', '{}')).code).toBe(4);
  const id = text.split('_')[2] ?? '';
  const rotated = await succeed(molten('api-keys', 'rotate', id, '--overlap', '3600', ...asAda));
  expect(rotated.stdout).toMatch(API_KEY);
  secrets.push(text.trim(), rotated.stdout.trim());
  const next = withToken(team, rotated.stdout.trim());
  const both = await Promise.all([service('whoami'), next('whoami')]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  const listed = await succeed(molten('api-keys', 'list', ...asAda));
  expect(listed.stdout.trim().split('\n')).toHaveLength(2);
  await succeed(molten('api-keys', 'revoke', id, ...asAda));
  expect((await service('whoami')).code).toBe(4);

  await succeed(molten('users', 'update', 'ada', '--lock', ...asRoot));
  const locked = await Promise.all([next('whoami'), molten('whoami', ...asAda)]);
  expect(locked.map(({ code }) => code)).toEqual([4, 4]);
  const wrong = ['login', '--username', 'ada', '--password-stdin'];
  expect((await molten.fed(`${ADA_PASSWORD}\n`, ...wrong)).code).toBe(4);
  await succeed(molten('users', 'update', 'ada', '--activate', ...asRoot));
  await succeed(molten('users', 'unlock', 'ada', ...asRoot));
  await succeed(next('whoami'));
  await login(team, 'ada', ADA_PASSWORD);
}

async function useSecondFactor(team: Team): Promise<void> {
  const { molten, secrets } = team;
  const codeOf = (secret: string, afterMs: number): string =>
    new TOTP({ secret: Secret.fromBase32(secret) }).generate({
      timestamp: systemClock.now() + afterMs,
    });
  let secret = '';
  const enrolled = await succeed(
    molten.converse(
      async (printed) => {
        const found = /^secret +([A-Z2-7]{32})$/m.exec(printed)?.[1];
        if (found === undefined) return undefined;
        secret = found;
        return codeOf(found, 0);
      },
      ...['second-factor', 'enrol', '--code-stdin', ...asAda, '--password-file'],
      join(team.directory, 'password'),
    ),
  );
  expect(enrolled.stdout).toContain('otpauth://totp/moltendb:ada?');
  const recoveryCodes = enrolled.stdout.match(/^[a-z2-7]{4}(-[a-z2-7]{1,4}){3}$/gm) ?? [];
  expect(recoveryCodes).toHaveLength(10);
  secrets.push(secret, ...recoveryCodes);

  const flags = ['login', '--username', 'ada', '--profile', 'ada', '--password-stdin'];
  const bare = await molten.fed(`${ADA_PASSWORD}\n`, ...flags);
  expect([bare.code, bare.stderr]).toEqual([2, expect.stringContaining('--code-stdin')]);
  const wrong = await molten.fed(`${ADA_PASSWORD}\n000000x\n`, ...flags, '--code-stdin');
  expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringContaining('CREDENTIAL_INVALID')]);
  // A code is taken once, so this is the next one; a clock may be one step early.
  const lines = `${ADA_PASSWORD}\n${codeOf(secret, STEP_MS)}\n`;
  await succeed(molten.fed(lines, ...flags, '--code-stdin'));
  const { sessions } = await molten.json<{ sessions: { methods: string[] }[] }>(
    ...['sessions', 'list', ...asAda],
  );
  expect(sessions[0]?.methods).toEqual(['password', 'totp']);

  const [first = '', second = ''] = recoveryCodes;
  const renewed = await succeed(
    molten.fed(`${first}\n`, 'second-factor', 'renew-codes', '--code-stdin', ...asAda),
  );
  const [fresh = ''] = renewed.stdout.split('\n');
  secrets.push(...renewed.stdout.trim().split('\n'));
  const remove = ['second-factor', 'remove', '--code-stdin', ...asAda];
  expect((await molten.fed(`${second}\n`, ...remove)).code).toBe(4);
  await succeed(molten.fed(`${fresh}\n`, ...remove));
  await login(team, 'ada', ADA_PASSWORD);
}

async function endSessions(team: Team): Promise<void> {
  const { molten, secrets } = team;
  const elsewhere = createMolten(join(team.directory, 'laptop'), { MOLTEN_URL: team.url });
  const flags = ['--username', 'bob', '--password-stdin'];
  await succeed(elsewhere.fed(`${BOB_PASSWORD}\n`, 'login', ...flags));
  await succeed(elsewhere('whoami'));
  const change = ['password', 'change', '--password-stdin', '--new-password-stdin', ...asBob];
  await succeed(molten.fed(`${BOB_PASSWORD}\n${BOB_NEXT_PASSWORD}\n`, ...change));
  const ended = await elsewhere('whoami');
  expect([ended.code, ended.stderr]).toEqual([4, expect.stringContaining('REVOKED')]);
  await succeed(elsewhere.fed(`${BOB_NEXT_PASSWORD}\n`, 'login', ...flags));
  const { sessions } = await molten.json<{ sessions: { session: string; current: boolean }[] }>(
    ...['sessions', 'list', ...asBob],
  );
  expect(sessions.map(({ current }) => current)).toEqual([false, true]);
  await succeed(molten('sessions', 'end', sessions[0]!.session, ...asBob));
  expect((await elsewhere('whoami')).code).toBe(4);

  const { stdout: token, stderr } = await succeed(molten('impersonate', 'bob', ...asRoot));
  secrets.push(token.trim());
  expect(stderr).toContain('acts as bob until ');
  expect(await withToken(team, token.trim()).json('whoami')).toMatchObject({
    ...{ subject: 'bob', impersonator: 'root', credential: 'session' },
  });
  const all = await succeed(molten('tokens', 'revoke', '--user-sessions', 'bob', ...asRoot));
  expect(all.stderr).toContain('1 session,');
  expect((await molten('whoami', ...asBob)).code).toBe(4);
}

async function rotateSigningKey({ molten }: Team): Promise<void> {
  const before = await molten.json<{ keys: { key: string; algorithm: string }[] }>('keys', 'list');
  expect(before.keys.map(({ algorithm }) => algorithm)).toEqual(['EdDSA']);
  await succeed(molten('keys', 'rotate', '--grace', '3600', ...asRoot));
  const after = await molten.json<typeof before>('keys', 'list');
  expect(after.keys.map(({ key }) => key)).toEqual([expect.anything(), before.keys[0]?.key]);
  await succeed(molten('whoami', ...asRoot));
}

const RECORDED = [
  ...['apiKey.create', 'apiKey.revoke', 'apiKey.rotate', 'password.change', 'role.create'],
  ...['secondFactor.confirm', 'secondFactor.enrol', 'secondFactor.remove'],
  ...['secondFactor.renewCodes', 'session.end', 'session.impersonate', 'session.login'],
  ...['setup.complete', 'signingKey.rotate', 'token.delegate', 'token.introspect'],
  ...['token.revoke', 'token.revokeMany', 'user.create', 'user.unlock', 'user.update'],
];

describe('a team at the command line', () => {
  it(
    'lives from the set-up to the audit',
    async () => {
      using directory = createTemporaryDirectory();
      await using server = await startTeamServer(directory.path, '--token-algorithm', 'EdDSA');
      const team = teamAt(directory.path, server.url);
      await completeSetup(team);
      await makeUsers(team);
      await delegateAndRevoke(team);
      await useApiKeys(team);
      await useSecondFactor(team);
      await endSessions(team);
      await rotateSigningKey(team);

      const { records } = await team.molten.json<{ records: { action: string }[] }>(
        ...['audit', 'list', '--limit', '1000', ...asRoot],
      );
      const actions = new Set(records.map(({ action }) => action));
      expect(RECORDED.filter((action) => !actions.has(action))).toEqual([]);
      await succeed(team.molten('audit', 'verify', ...asRoot));
      const told = `${JSON.stringify(records)}${server.stdout()}${server.stderr()}`;
      expect(team.secrets.length).toBeGreaterThan(30);
      expect(team.secrets.filter((secret) => told.includes(secret))).toEqual([]);
    },
    WALK_MS,
  );

  it('signs in through an identity provider, in a browser elsewhere', async () => {
    using directory = createTemporaryDirectory();
    await using issuer = await startIssuer();
    const secret = join(directory.path, 'client-secret');
    writeFileSync(secret, CLIENT.clientSecret, { mode: 0o600 });
    await using server = await startTeamServer(
      directory.path,
      ...['--oidc-issuer', issuer.url, '--oidc-allow-insecure', '--oidc-provision'],
      ...['--oidc-client-id', CLIENT.clientId, '--oidc-client-secret-file', secret],
      ...['--oidc-redirect-uri', REDIRECT_URI, '--oidc-roles', 'operators=operator'],
    );
    const setup = await fetch(`${server.url}/v1/setup`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ password: ROOT_PASSWORD }),
    });
    expect(setup.status).toBe(200);
    const { molten } = teamAt(directory.path, server.url);
    const decide = async (printed: string): Promise<undefined> => {
      const [, address] = /or open (\S+)/.exec(printed) ?? [];
      if (address !== undefined) await openBrowser().submit(address);
    };
    const signedIn = await molten.converse(decide, 'login', '--sso');
    expect([signedIn.code, signedIn.stdout]).toEqual([
      0,
      expect.stringContaining('as ada.lovelace'),
    ]);
    expect(await molten.json('whoami')).toMatchObject({
      ...{ user: 'ada.lovelace', scopes: expect.arrayContaining(['snapshot:*:*']) },
    });
    const unknown = await molten('login', '--sso', 'nobody');
    expect([unknown.code, unknown.stderr]).toEqual([3, expect.stringContaining("'oidc'")]);
  });
});

describe('secrets on the command line', () => {
  it('are never taken from an argument, nor shown when they are given as one', async () => {
    using directory = createTemporaryDirectory();
    const molten = createMolten(directory.path, { MOLTEN_URL: 'http://127.0.0.1:9' });
    const key = `mk_live_${'a'.repeat(12)}_${'b'.repeat(38)}`;
    const shown = await molten('tokens', 'inspect', key);
    expect([shown.code, shown.stderr]).toEqual([2, expect.stringContaining('standard input')]);
    expect(shown.stderr + shown.stdout).not.toContain(key);
    // What is piped is a password, not the server that was left out.
    const piped = await molten.fed(`${ADA_PASSWORD}\n`, 'login', '--password-stdin');
    expect(piped.stderr + piped.stdout).not.toContain(ADA_PASSWORD);
    for (const command of [['login'], ['setup'], ['users', 'create', 'x']]) {
      const help = (await molten(...command, '--help')).stdout;
      expect(help).toContain('--password-file');
      expect(help).not.toMatch(/--(password|code|setup-token)=/);
    }
    expect(existsSync(join(directory.path, 'molten', 'profiles.json'))).toBe(false);
  });

  it('asks before what cannot be undone', async () => {
    using directory = createTemporaryDirectory();
    await using server = await startTeamServer(directory.path);
    const team = teamAt(directory.path, server.url);
    await succeed(team.molten.fed(`${ROOT_PASSWORD}\n`, 'setup', '--password-stdin'));
    await login(team, 'root', ROOT_PASSWORD);
    const create = ['users', 'create', 'carl', '--no-password', ...asRoot];
    await succeed(team.molten(...create));
    const kept = await team.molten('users', 'delete', 'carl', ...asRoot);
    expect([kept.code, kept.stderr]).toEqual([2, expect.stringContaining('--yes')]);
    await succeed(team.molten('users', 'delete', 'carl', '--yes', ...asRoot));
    const all = ['tokens', 'revoke', '--all', ...asRoot];
    const unasked = await team.molten(...all);
    expect([unasked.code, unasked.stderr]).toEqual([2, expect.stringContaining('--yes')]);
    expect((await team.molten(...all, '--user', 'root', '--yes')).code).toBe(2);
    expect(await team.molten.json(...all, '--dry-run')).toMatchObject({ impact: { sessions: 1 } });
    await succeed(team.molten(...all, '--yes'));
    expect((await team.molten('whoami', ...asRoot)).code).toBe(4);
    const hs256 = await team.molten('keys', 'rotate', ...asRoot);
    expect(hs256.code).toBe(4);
  });
});
