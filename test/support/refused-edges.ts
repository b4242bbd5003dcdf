/** A signing secret that is good enough. */
export const SECRET = 'c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdA-and-more';
/** A password of root that is. */
export const PASSWORD = 'a password long enough for tests';
/** What a server needs. */
export const BASE: Readonly<Record<string, string>> = {
  MOLTENDB_JWT_SECRET: SECRET,
  MOLTENDB_ROOT_PASSWORD: PASSWORD,
};

/** One start: the row it is for, what is given, and what is said. */
export interface RefusedStart {
  readonly row: string;
  readonly args: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  /** What `.env` in the working directory holds. Absent: there is none. */
  readonly dotEnv?: string;
  readonly says: string;
}

/** What of secrets and of the network no server starts with. */
export const REFUSED_EDGES: readonly RefusedStart[] = [
  {
    ...{ row: 'signing secret given', args: [], says: '--jwt-secret is missing; give at least 32' },
    variables: { MOLTENDB_ROOT_PASSWORD: PASSWORD },
  },
  {
    ...{ row: 'signing secret strong', args: [], says: 'MOLTENDB_JWT_SECRET is shorter than 32' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET: 'short' },
  },
  {
    ...{ row: 'signing secret strong', args: [], says: 'PREVIOUS looks like a placeholder; make' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET_PREVIOUS: 'a'.repeat(40) },
  },
  ...[
    'your-super-secret-jwt-token-with-at-least-32-characters-long',
    'CHANGE_ME_IN_PRODUCTION_8f2a61c94be7',
    'abcdefghijklmnopqrstuvwxyz123456',
  ].map((secret) => ({
    ...{ row: 'signing secret strong', args: [], says: 'JWT_SECRET looks like a placeholder' },
    variables: { ...BASE, MOLTENDB_JWT_SECRET: secret },
  })),
  {
    ...{ row: 'set-up token strong', args: [], says: 'MOLTENDB_SETUP_TOKEN is shorter than 32' },
    variables: { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_SETUP_TOKEN: 'short' },
  },
  {
    ...{ row: 'set-up token strong', args: [], says: 'SETUP_TOKEN looks like a placeholder; make' },
    variables: { MOLTENDB_JWT_SECRET: SECRET, MOLTENDB_SETUP_TOKEN: 'change-me-'.repeat(4) },
  },
  {
    row: 'set-up closed to others',
    args: ['--host', '0.0.0.0', '--allow-cleartext'],
    variables: { MOLTENDB_JWT_SECRET: SECRET },
    says: '--root-password is missing, and whoever comes first could give one; give it',
  },
  {
    ...{ row: 'root password strong', args: [], says: 'MOLTENDB_ROOT_PASSWORD is weak; give' },
    variables: { ...BASE, MOLTENDB_ROOT_PASSWORD: 'admin123' },
  },
  ...['qwertyuiop12', '123iloveyou!', 'administrator'].map((password) => ({
    ...{ row: 'root password strong', says: 'MOLTENDB_ROOT_PASSWORD is weak; give' },
    args: ['--root-user', 'administrator'],
    variables: { ...BASE, MOLTENDB_ROOT_PASSWORD: password },
  })),
  {
    row: 'encryption key meant',
    args: ['--disable-encryption'],
    variables: { ...BASE, MOLTENDB_ENCRYPTION_KEY: 'x' },
    says: 'MOLTENDB_ENCRYPTION_KEY is given together with --disable-encryption; give one',
  },
  ...[
    ['x', 'is short and could be guessed by who has a copy'],
    ['changeme', 'is short and could be guessed'],
    [
      'a'.repeat(40),
      'looks like a placeholder; make a random one; a store that has this one is given',
    ],
  ].map(([key = '', says = '']) => ({
    row: 'encryption key strong',
    args: ['--host', '0.0.0.0', '--allow-cleartext'],
    variables: { ...BASE, MOLTENDB_ENCRYPTION_KEY: key },
    says: `MOLTENDB_ENCRYPTION_KEY ${says}`,
  })),
  {
    row: 'each secret for one purpose',
    args: [],
    variables: { ...BASE, MOLTENDB_ENCRYPTION_KEY: SECRET },
    says: 'MOLTENDB_ENCRYPTION_KEY is the same as --jwt-secret: who learns one has both; make',
  },
  {
    row: 'each secret for one purpose',
    args: [],
    variables: { ...BASE, MOLTENDB_JWT_SECRET: PASSWORD },
    says: 'is the same as --jwt-secret',
  },
  {
    row: 'secret files private',
    args: ['--encryption-key-file', 'open.txt'],
    says: "--encryption-key-file is in 'open.txt', which others can read (mode 644); chmod 600",
  },
  {
    row: 'secret files private',
    args: ['--encryption-key-file', 'group.txt'],
    says: "--encryption-key-file is in 'group.txt', which others can read (mode 440); chmod 600",
  },
  {
    row: 'secret files private',
    args: ['--config', 'open.toml'],
    says: 'encryption-key in open.toml is in',
  },
  {
    row: 'secret files private',
    args: ['--cert', 'cert.pem', '--key', 'open-key.pem'],
    says: "--key is in 'open-key.pem', which others can read",
  },
  {
    row: 'secret files private',
    args: [],
    dotEnv: 'MOLTENDB_ENCRYPTION_KEY="a key that others read"',
    says: 'MOLTENDB_ENCRYPTION_KEY in .env is in',
  },
  {
    row: 'TLS beyond this machine',
    args: ['--host', '0.0.0.0'],
    says: '--host is not this machine, and there is no TLS; give --cert and --key',
  },
  {
    row: 'development on this machine',
    args: ['--dev-mode', '--host', '0.0.0.0'],
    says: '--host is not this machine; --dev-mode listens only',
  },
  { row: 'certificate usable', args: ['--cert', 'cert.pem'], says: '--cert is given alone; TLS' },
  { row: 'certificate usable', args: ['--key', 'key.pem'], says: '--key is given alone; TLS' },
  {
    row: 'certificate usable',
    args: ['--cert', 'open.txt', '--key', 'key.pem'],
    says: "--cert names 'open.txt', which is not in PEM form; convert it",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'damaged.pem', '--key', 'damaged.pem'],
    says: "--cert names 'damaged.pem', which is damaged; make it again",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'cert.pem', '--key', 'damaged.pem'],
    says: "--key names 'damaged.pem', which is damaged; make it again",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'cert.pem', '--key', 'store'],
    says: "--key names 'store', which cannot be read; give",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'future.pem', '--key', 'key.pem'],
    says: '--cert is valid only from Jan 1 00:00:00 2126 GMT; wait, or set the clock',
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'missing.pem', '--key', 'key.pem'],
    says: "--cert names 'missing.pem', which does not exist; give",
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'expired.pem', '--key', 'key.pem'],
    says: '--cert expired at Feb 1 00:00:00 2020 GMT; renew it',
  },
  {
    row: 'certificate usable',
    args: ['--cert', 'cert.pem', '--key', 'other-key.pem'],
    says: '--key is not the key of the certificate; give the pair',
  },
  {
    row: 'CORS origins exact',
    args: ['--cors-origin', 'https://app.example.org/'],
    says: "--cors-origin has 'https://app.example.org/', which no browser sends; give",
  },
  {
    row: 'CORS origins exact',
    args: ['--cors-origin', 'null'],
    says: "--cors-origin has 'null', which no browser sends; give",
  },
  {
    row: 'CORS origins exact',
    args: ['--cors-origin', '*,https://app.example.org'],
    says: '--cors-origin has * beside other origins; give',
  },
  {
    row: 'client certificates checkable',
    args: ['--client-ca', 'cert.pem'],
    says: '--client-ca is given without TLS, so that no client can show anything; give --cert',
  },
  {
    row: 'client certificates checkable',
    args: ['--cert', 'cert.pem', '--key', 'key.pem', '--client-ca', 'expired.pem'],
    says: '--client-ca expired at Feb 1 00:00:00 2020 GMT; renew it',
  },
  ...[
    ['missing.pem', 'does not exist; give'],
    ['store', 'cannot be read; give'],
    ['open.txt', 'is not in PEM form; convert it'],
    ['damaged.pem', 'is damaged; make it again'],
  ].map(([file = '', says = '']) => ({
    row: 'client certificates checkable',
    args: ['--cert', 'cert.pem', '--key', 'key.pem', '--client-ca', file],
    says: `--client-ca names '${file}', which ${says}`,
  })),
  {
    row: 'limits in order',
    args: ['--max-connections', '100', '--max-connections-per-address', '101'],
    says: '--max-connections-per-address is 101, above --max-connections 100; lower it',
  },
  {
    row: 'limits in order',
    args: ['--headers-timeout', '60', '--request-timeout', '30'],
    says: '--headers-timeout is 60, above --request-timeout 30; lower it',
  },
  {
    row: 'limits in order',
    args: ['--rate-limit-burst', '10'],
    says: '--rate-limit-burst is given without --rate-limit-requests, which says how fast',
  },
  {
    row: 'limits in order',
    args: ['--rate-limit-burst', '10'],
    variables: { ...BASE, MOLTENDB_RATE_LIMIT_REQS: '5' },
    says: '--rate-limit-burst is 10, above --rate-limit-requests 5; lower it',
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', 'proxy.example.org'],
    says: "--trusted-proxy has 'proxy.example.org', which is no address or range; give",
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', 'fc00::/6'],
    says: "--trusted-proxy has 'fc00::/6', which is wider than a /7; give",
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', '10.0.0.1,0.0.0.0/0'],
    says: "--trusted-proxy has '0.0.0.0/0', which takes in every address; give",
  },
  {
    row: 'trusted proxies narrow',
    args: ['--trusted-proxy', '0.0.0.0/1,128.0.0.0/1'],
    says: "--trusted-proxy has '128.0.0.0/1', which is wider than a /8; give",
  },
];
