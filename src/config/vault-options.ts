import type { Option } from './option.ts';

/** Where secrets are read from that a `--<name>-vault` names. */
export const VAULT_OPTIONS: readonly Option[] = [
  {
    ...{ name: 'vault-address', type: { kind: 'url', schemes: ['https:', 'http:'] } },
    help: 'The HashiCorp Vault that secrets named by --<name>-vault are read from, once, at the start: `https://vault.example.org:8200`.',
  },
  {
    ...{ name: 'vault-namespace', type: { kind: 'text' } },
    help: 'The namespace in it. Absent: the root.',
  },
  {
    ...{ name: 'vault-mount', type: { kind: 'text' }, fallback: 'secret' },
    help: 'Where its KV secrets engine, version 2, is mounted.',
  },
  {
    ...{ name: 'vault-auth', fallback: 'token' },
    type: { kind: 'choice', choices: ['token', 'approle', 'kubernetes'] },
    help: 'How this server signs in there. token: --vault-token. approle: --vault-role-id and --vault-secret-id. kubernetes: --vault-role and the token of the service account.',
  },
  {
    ...{ name: 'vault-auth-path', type: { kind: 'text' } },
    help: 'Where that method is mounted. Absent: under its name.',
  },
  {
    ...{ name: 'vault-token', type: { kind: 'text' }, isSecret: true },
    help: 'A token whose policy lets it read the secrets.',
  },
  {
    ...{ name: 'vault-role-id', type: { kind: 'text' } },
    help: 'The role id of AppRole.',
  },
  {
    ...{ name: 'vault-secret-id', type: { kind: 'text' }, isSecret: true },
    help: 'The secret id of AppRole.',
  },
  {
    ...{ name: 'vault-role', type: { kind: 'text' } },
    help: 'The role of the Kubernetes method.',
  },
  {
    ...{ name: 'vault-jwt-path', type: { kind: 'path' } },
    fallback: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    help: 'The token of the service account, for the Kubernetes method.',
  },
  {
    ...{ name: 'vault-ca', type: { kind: 'path' } },
    help: 'A file of certificates to trust, in PEM. Absent: those of the system.',
  },
  {
    ...{ name: 'vault-timeout', fallback: '5000' },
    type: { kind: 'whole', min: 100, max: 60_000, unit: 'milliseconds' },
    help: 'How long each of at most three attempts may take.',
  },
];
