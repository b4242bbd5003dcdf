import type { Fault } from './faults.ts';
import type { OptionReader } from './load.ts';

/** What is known when a server is asked to start. */
export interface StartRequest {
  readonly read: OptionReader;
  readonly jwtSecret: string | undefined;
  readonly rootPassword: string | undefined;
  readonly encryptionKey: string | undefined;
  readonly setupToken: string | undefined;
}

/** What forbids a start, and what is only said. */
export interface Verdict {
  readonly refused: Fault[];
  readonly warnings: readonly string[];
}

const SECRET_BYTES_MIN = 32;
const PASSWORD_CHARS_MIN = 12;
/** Passwords and secrets that stand in examples everywhere. */
const PLACEHOLDER =
  /^(change-?me|secret|password|passw0rd|admin|root|test|example|moltendb|12345678)[\w!@#$%^&*.-]{0,12}$/i;

type Rule = (request: StartRequest) => Fault | undefined;

/** The table of refusals: each names the option, why, and how to mend it. */
const RULES: readonly Rule[] = [
  ({ read, jwtSecret }) => {
    if (jwtSecret === undefined) {
      return fault(
        read,
        'jwt-secret',
        `is missing; give at least ${String(SECRET_BYTES_MIN)} random bytes, or use --dev-mode`,
      );
    }
    if (Buffer.byteLength(jwtSecret) < SECRET_BYTES_MIN) {
      return fault(
        read,
        'jwt-secret',
        `is shorter than ${String(SECRET_BYTES_MIN)} bytes and could be guessed; make a random one`,
      );
    }
    const isMonotonous = new Set(jwtSecret).size < 8 || PLACEHOLDER.test(jwtSecret);
    return isMonotonous
      ? fault(read, 'jwt-secret', 'looks like a placeholder; make a random one')
      : undefined;
  },
  ({ read, rootPassword, setupToken }) => {
    if (rootPassword !== undefined || setupToken !== undefined) return undefined;
    if (isLoopback(read.text('host') ?? '')) return undefined;
    return fault(
      read,
      'root-password',
      'is missing, and whoever comes first could give one; give it, or --setup-token, or use --dev-mode',
    );
  },
  ({ read, setupToken }) =>
    setupToken !== undefined && Buffer.byteLength(setupToken) < SECRET_BYTES_MIN
      ? fault(
          read,
          'setup-token',
          `is shorter than ${String(SECRET_BYTES_MIN)} bytes and could be guessed; make a random one`,
        )
      : undefined,
  ({ read, rootPassword }) => {
    if (read.switch('dev-mode') || rootPassword === undefined) return undefined;
    return isWeak(rootPassword, read)
      ? fault(
          read,
          'root-password',
          `is weak; give at least ${String(PASSWORD_CHARS_MIN)} characters that are not in every list`,
        )
      : undefined;
  },
  ({ read }) =>
    (read.text('cert') === undefined) === (read.text('key') === undefined)
      ? undefined
      : fault(
          read,
          read.text('cert') === undefined ? 'key' : 'cert',
          'is given alone; TLS needs --cert and --key',
        ),
  ({ read }) => {
    if (isLoopback(read.text('host') ?? '') || read.text('cert') !== undefined) return undefined;
    if (read.switch('dev-mode')) {
      return fault(
        read,
        'host',
        'is not this machine; --dev-mode listens only on 127.0.0.1, ::1 or localhost',
      );
    }
    if (read.switch('allow-cleartext')) return undefined;
    return fault(
      read,
      'host',
      'is not this machine, and there is no TLS; give --cert and --key, or --allow-cleartext behind a proxy that has it',
    );
  },
  ({ read, encryptionKey }) =>
    encryptionKey !== undefined && read.switch('disable-encryption') && !read.switch('dev-mode')
      ? fault(
          read,
          'encryption-key',
          'is given together with --disable-encryption; give one of them',
        )
      : undefined,
  ({ read, encryptionKey }) =>
    encryptionKey === ''
      ? fault(read, 'encryption-key', 'is empty; give a key, or none')
      : undefined,
  ({ read }) =>
    read.text('ldap-url') !== undefined && read.text('ldap-user-base') === undefined
      ? fault(read, 'ldap-user-base', 'is missing; --ldap-url needs it')
      : undefined,
  ({ read }) =>
    read.text('oidc-issuer') !== undefined && read.text('oidc-client-id') === undefined
      ? fault(read, 'oidc-client-id', 'is missing; --oidc-issuer needs it')
      : undefined,
  ...(['ldap-roles', 'oidc-roles'] as const).map((name): Rule => ({ read }) => {
    const wrong = read.list(name).find((item) => !/^.+=[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(item));
    return wrong === undefined
      ? undefined
      : fault(read, name, `has '${wrong}'; wants group=role, with commas between several`);
  }),
];

/** Judges a start by the table. */
export function refusals(request: StartRequest): Verdict {
  const refused = RULES.flatMap((rule) => rule(request) ?? []);
  const { read, rootPassword, encryptionKey } = request;
  const warnings = [
    ...(read.switch('dev-mode')
      ? ['this is development mode: never use it where others can reach it']
      : []),
    ...(read.switch('dev-mode') && isWeak(rootPassword ?? '', read)
      ? ['the root password is weak']
      : []),
    ...(rootPassword === undefined && !read.switch('dev-mode')
      ? ['there is no --root-password: nobody can sign in until the set-up is completed, once']
      : []),
    ...(encryptionKey === undefined
      ? ['the store is not encrypted; give --encryption-key for that']
      : []),
    ...(read.list('cors-origin').includes('*')
      ? ['any web page may call this server (--cors-origin *)']
      : []),
    ...['jwt-secret', 'jwt-secret-previous', 'root-password', 'setup-token', 'encryption-key']
      .filter((name) => read.origin(name) === `--${name}` && read.text(name) !== undefined)
      .map(
        (name) => `--${name} shows in the list of processes; use its variable or --${name}-file`,
      ),
  ];
  return { refused, warnings };
}

function isWeak(password: string, read: OptionReader): boolean {
  const isShort = password.length < PASSWORD_CHARS_MIN;
  return isShort || PLACEHOLDER.test(password) || password === read.text('root-user');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function fault(read: OptionReader, name: string, problem: string): Fault {
  const origin = read.origin(name);
  return { key: origin === 'default' ? `--${name}` : origin, problem };
}
