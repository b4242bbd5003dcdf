import { BASE, type RefusedStart } from './refused-edges.ts';

const LDAP = ['--ldap-url', 'ldaps://ldap.example.org', '--ldap-user-base', 'dc=example'];
const OIDC = ['--oidc-client-id', 'molten', '--oidc-issuer'];

/** What of files, services and databases no server starts with. */
export const REFUSED_SERVICES: readonly RefusedStart[] = [
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'mysql://molten@db.example.org/app'],
    says: '--storage-url is no address of a PostgreSQL; write postgres://',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslmod=disable'],
    says: "--storage-url has the unknown parameter 'sslmod'; did you mean 'sslmode'?",
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslrootcert=/nowhere.pem'],
    says: '--storage-url names a file as sslrootcert that is not there',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten:secret@db.example.org/app'],
    says: '--storage-url holds a password, which shows wherever the address does; give it as',
  },
  {
    row: 'database address well-formed',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslmode=require'],
    says: "--storage-url has the sslmode 'require'; write disable or verify-full",
  },
  {
    row: 'database by TLS',
    args: ['--storage-url', 'postgres://molten@db.example.org/app?sslmode=disable'],
    says: '--storage-url would send every document over the network in the clear; leave',
  },
  {
    row: 'Vault by TLS',
    args: ['--vault-address', 'http://vault.example.org:8200'],
    says: '--vault-address is not https, and secrets would cross the network in the clear; use',
  },
  {
    row: 'Vault by TLS',
    args: ['--vault-address', 'https://me:secret@vault.example.org:8200'],
    says: '--vault-address holds a user name or a password; use --vault-auth',
  },
  {
    row: 'Vault by TLS',
    args: ['--vault-address', 'vault.example.org:8200'],
    says: '--vault-address is no address of http or https; give',
  },
  {
    row: 'Vault can be signed in to',
    args: ['--vault-address', 'https://vault.example.org:8200', '--vault-auth', 'approle'],
    says: '--vault-role-id is missing; --vault-auth approle needs it',
  },
  ...[
    ['token', 'vault-token'],
    ['approle', 'vault-secret-id'],
    ['kubernetes', 'vault-role'],
  ].map(([way = '', missing = '']) => ({
    row: 'Vault can be signed in to',
    args: ['--vault-address', 'https://vault.example.org:8200', '--vault-auth', way],
    says: `--${missing} is missing; --vault-auth ${way} needs it`,
  })),
  {
    row: 'traces to a collector',
    args: ['--otlp-endpoint', 'collector:4318'],
    says: '--otlp-endpoint is no address of http or https; give',
  },
  {
    row: 'traces to a collector',
    args: ['--otlp-endpoint', 'https://me:secret@collector.example.org'],
    says: '--otlp-endpoint holds a user name or a password; leave them out',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://hooks.example.org/'],
    says: '--alert-webhook-secret is missing; --alert-webhook-url needs it',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'hooks.example.org'],
    says: '--alert-webhook-url is no address of http or https; give',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://me:secret@hooks.example.org/'],
    says: '--alert-webhook-url holds a user name or a password; leave them out',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://hooks.example.org/'],
    variables: { ...BASE, MOLTENDB_ALERT_WEBHOOK_SECRET: 'a'.repeat(40) },
    says: 'MOLTENDB_ALERT_WEBHOOK_SECRET looks like a placeholder',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'http://hooks.example.org/'],
    says: '--alert-webhook-url is not https; use it',
  },
  {
    row: 'alerts signed and by TLS',
    args: ['--alert-webhook-url', 'https://hooks.example.org/'],
    variables: { ...BASE, MOLTENDB_ALERT_WEBHOOK_SECRET: 'short' },
    says: 'MOLTENDB_ALERT_WEBHOOK_SECRET is shorter than 32 bytes',
  },
  {
    row: 'directories writable',
    args: ['--db-path', 'key.pem/store'],
    says: "--db-path names 'key.pem/store', which is or leads through a file; give",
  },
  ...[
    ['missing/audit.log', 'is in a directory that is not there; give a file in a directory'],
    ['key.pem/audit.log', 'is or leads through a file; give'],
    ['store', 'is a directory; give'],
  ].map(([path = '', says = '']) => ({
    row: 'audit file writable',
    args: ['--audit-file', path],
    says: `--audit-file names '${path}', which ${says}`,
  })),
  {
    row: 'directories writable',
    args: ['--archive-dir', 'key.pem/archive'],
    says: "--archive-dir names 'key.pem/archive', which is or leads through a file; give",
  },
  {
    row: 'archive apart from the store',
    args: ['--archive-dir', 'store/log'],
    says: '--archive-dir is inside --db-path, so that one loss would take both; give',
  },
  {
    row: 'script executable',
    args: ['--post-backup-script', 'cert.pem'],
    says: "--post-backup-script names 'cert.pem', which is no file that this user can run; chmod",
  },
  {
    row: 'script executable',
    args: ['--post-backup-script', 'missing.sh'],
    says: "--post-backup-script names 'missing.sh', which is no file that this user can run; chmod",
  },
  {
    row: 'schedule well-formed',
    args: ['--snapshot-schedule', 'at three'],
    says: "--snapshot-schedule is 'at three', which is no cron expression",
  },
  {
    row: 'directory complete',
    args: [...LDAP, '--ldap-bind-dn', 'cn=molten'],
    says: '--ldap-bind-password is missing; a service account',
  },
  {
    row: 'directory complete',
    args: ['--ldap-url', 'ldaps://cn:secret@ldap.example.org', '--ldap-user-base', 'dc=example'],
    says: '--ldap-url holds a user name or a password; give them as',
  },
  {
    row: 'directory complete',
    args: [...LDAP],
    variables: { ...BASE, MOLTENDB_LDAP_BIND_PASSWORD: 'a password of a service' },
    says: '--ldap-bind-dn is missing; a service account',
  },
  {
    row: 'directory complete',
    args: ['--ldap-url', 'ldap.example.org', '--ldap-user-base', 'dc=example'],
    says: '--ldap-url is no URL of a directory; give',
  },
  {
    row: 'directory complete',
    args: ['--ldap-url', 'ldaps://ldap.example.org'],
    says: '--ldap-user-base is missing; --ldap-url needs it',
  },
  {
    row: 'directory complete',
    args: [...LDAP, '--ldap-ca', 'missing.pem'],
    says: "--ldap-ca names 'missing.pem', which cannot be read; give",
  },
  {
    row: 'directory complete',
    args: [...LDAP, '--ldap-starttls'],
    says: '--ldap-starttls is given with ldaps://, which has TLS from the start; give one',
  },
  {
    row: 'directory by TLS',
    args: ['--ldap-url', 'ldap://ldap.example.org', '--ldap-user-base', 'dc=example'],
    says: '--ldap-url would send passwords over the network in the clear; use ldaps://',
  },
  {
    row: 'issuer complete',
    args: ['--oidc-issuer', 'https://issuer.example.org'],
    says: '--oidc-client-id is missing',
  },
  {
    row: 'issuer by TLS',
    args: [...OIDC, 'http://issuer.example.org', '--oidc-allow-insecure'],
    says: "--oidc-issuer is 'http://issuer.example.org', which is not https://; use",
  },
  {
    row: 'issuer by TLS',
    args: [...OIDC, 'http://127.0.0.1:1'],
    says: '--oidc-allow-insecure is for an issuer on this machine',
  },
  {
    row: 'who becomes a user well-formed',
    args: [...OIDC, 'https://issuer.example.org', '--oidc-provision-only', 'group=staff'],
    says: '--oidc-provision-only says who becomes a user, and nobody does; give --oidc-provision',
  },
  {
    row: 'who becomes a user well-formed',
    args: [
      ...[...OIDC, 'https://issuer.example.org', '--oidc-provision'],
      ...['--oidc-provision-only', 'group=staff,email-domain=@example.org'],
    ],
    says: "has 'email-domain=@example.org'; wants mapped, group=name or email-domain=example.org",
  },
  {
    row: 'who becomes a user well-formed',
    args: [...LDAP, '--ldap-provision', '--ldap-provision-only', 'email-domain=example.org'],
    says: "--ldap-provision-only has 'email-domain=example.org'; wants mapped or group=name, with",
  },
  {
    row: 'who becomes a user well-formed',
    args: [...LDAP, '--ldap-provision', '--ldap-provision-only', 'mapped'],
    says: '--ldap-provision-only has mapped, and no group has a role; give --ldap-roles',
  },
  {
    row: 'roles by group well-formed',
    args: [...OIDC, 'https://issuer.example.org', '--oidc-roles', 'staff=no role'],
    says: "--oidc-roles has 'staff=no role'; wants group=role",
  },
  {
    row: 'roles by group well-formed',
    args: [...LDAP, '--ldap-roles', 'staff'],
    says: "--ldap-roles has 'staff'; wants group=role",
  },
];
