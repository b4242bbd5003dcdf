/**
 * The one table of options. Flags, environment variables, keys of the configuration file, `--help` and
 * `docs/reference/configuration.md` all come from here.
 */

import { EDGE_OPTIONS } from './edge-options.ts';
import { IDENTITY_OPTIONS } from './identity-options.ts';
import { OBSERVATION_OPTIONS } from './observation-options.ts';
import type { Option } from './option.ts';
import { STORAGE_OPTIONS } from './storage-options.ts';
import { VAULT_OPTIONS } from './vault-options.ts';

const BYTES = { kind: 'whole', unit: 'bytes' } as const;
const GIBIBYTE = 1024 * 1024 * 1024;

/** All options of `molten serve`. */
export const OPTIONS: readonly Option[] = [
  {
    ...{ name: 'db-path', type: { kind: 'path' }, fallback: './data' },
    help: 'The directory of the store. Made when missing.',
  },
  ...STORAGE_OPTIONS,
  {
    ...{ name: 'host', type: { kind: 'text' }, fallback: '127.0.0.1' },
    help: 'The address to listen on. Beyond this machine it needs TLS, or --allow-cleartext.',
  },
  {
    ...{ name: 'port', fallback: '1538' },
    type: { kind: 'whole', min: 0, max: 65_535, unit: 'port' },
    help: 'The port to listen on; 0 chooses a free one.',
  },
  {
    ...{ name: 'jwt-secret', type: { kind: 'text' }, isSecret: true },
    help: 'Signs tokens: at least 32 bytes, random. Another secret ends every token.',
  },
  {
    ...{ name: 'jwt-secret-previous', type: { kind: 'text' }, isSecret: true },
    help: 'The secret before this one: tokens that it signed are taken until they end. Remove it then.',
  },
  {
    ...{ name: 'token-algorithm', fallback: 'HS256' },
    type: { kind: 'choice', choices: ['HS256', 'EdDSA', 'ES256'] },
    help: 'How tokens are signed. HS256: with --jwt-secret. EdDSA, ES256: with keys that the store keeps, sealed with --jwt-secret, and `molten keys rotate` replaces; others verify them by /.well-known/jwks.json.',
  },
  {
    ...{ name: 'token-issuer', type: { kind: 'text' }, fallback: 'moltendb' },
    help: 'The issuer of tokens (`iss`), also shown by devices for one-time codes. Tokens of another one are refused.',
  },
  {
    ...{ name: 'token-audience', type: { kind: 'text' }, fallback: 'moltendb' },
    help: 'Whom tokens are for (`aud`). Tokens for another one are refused.',
  },
  {
    ...{ name: 'access-token-ttl', fallback: '900', formerName: 'root-token-ttl' },
    type: { kind: 'whole', min: 60, max: 86_400, unit: 'seconds' },
    help: 'How long the token of a sign-in lives that asks for nothing else; its refresh token gives the next one.',
  },
  {
    ...{ name: 'max-tokens-per-user', fallback: '100000' },
    type: { kind: 'whole', min: 100, max: 10_000_000, unit: 'tokens' },
    help: 'How many tokens that one user, its API keys and their clients have delegated may live at once. One lives for as long as it can be renewed, unless it is revoked. About 2 kB each on disk.',
  },
  {
    ...{ name: 'password-min-length', fallback: '12' },
    type: { kind: 'whole', min: 8, max: 128, unit: 'characters' },
    help: 'The shortest password of a user. NIST SP 800-63B-4 wants 15 where there is no second factor.',
  },
  {
    ...{ name: 'setup-token', type: { kind: 'text' }, isSecret: true },
    help: 'Lets the set-up of a server without --root-password be completed from another machine: at least 32 bytes.',
  },
  {
    ...{ name: 'root-user', type: { kind: 'text' }, fallback: 'root' },
    help: 'The name of the administrator.',
  },
  {
    ...{ name: 'root-password', type: { kind: 'text' }, isSecret: true },
    help: 'The password of the administrator: at least 12 characters, and not a common one. Absent: the first who completes the set-up gives one, from this machine or with --setup-token.',
  },
  ...IDENTITY_OPTIONS,
  {
    ...{ name: 'write-mode', fallback: 'sync' },
    type: { kind: 'choice', choices: ['sync', 'async'] },
    help: 'What a write gets that asks for nothing. sync: on disk before the answer. async: on disk within 50 ms after it.',
  },
  {
    ...{ name: 'storage-mode', fallback: 'standard' },
    type: { kind: 'choice', choices: ['standard', 'tiered'] },
    help: 'What is kept in memory of documents read by key. standard: as many as fit --cache-size. tiered: no more of them than --hot-threshold, those used last. The rest is read from disk in either mode, and nothing in advance.',
  },
  {
    ...{ name: 'hot-threshold', fallback: '50000' },
    type: { kind: 'whole', min: 0, max: Number.MAX_SAFE_INTEGER, unit: 'documents' },
    help: 'How many documents of all collections together are kept in memory in the mode tiered, within --cache-size.',
  },
  {
    ...{ name: 'retain-history', fallback: '604800' },
    type: { kind: 'whole', min: 0, max: 3_155_760_000, unit: 'seconds' },
    help: 'How long the past can be read, watched from and restored. 0: for ever.',
  },
  {
    ...{ name: 'retain-history-size', type: { ...BYTES, min: 0, max: 1024 * 1024 * GIBIBYTE } },
    fallback: '0',
    help: 'At most this much for bodies that only the past needs; the oldest go first. 0: no bound.',
  },
  {
    ...{ name: 'archive-dir', type: { kind: 'path' } },
    help: 'A directory that every change is copied to, in sealed segments, so that recovery reaches further back than the store. Best on another disk.',
  },
  {
    ...{ name: 'archive-interval', fallback: '60' },
    type: { kind: 'whole', min: 1, max: 86_400, unit: 'seconds' },
    help: 'How often that is done, and so how much a lost disk can cost.',
  },
  {
    ...{ name: 'audit-retention', fallback: '31536000' },
    type: { kind: 'whole', min: 0, max: 3_155_760_000, unit: 'seconds' },
    help: 'How long audit records are kept. 0: for ever.',
  },
  {
    ...{ name: 'audit-file', type: { kind: 'path' } },
    help: 'A file that gets every audit record as well, one JSON object a line, to be shipped elsewhere. Made when missing, and again when it is renamed away.',
  },
  {
    ...{ name: 'snapshot-schedule', type: { kind: 'text' } },
    help: 'When snapshots are taken: a cron expression in UTC, such as "0 3 * * *". Absent: only on request.',
  },
  {
    ...{ name: 'snapshot-keep', fallback: '7' },
    type: { kind: 'whole', min: 0, max: 10_000, unit: 'snapshots' },
    help: 'Scheduled snapshots kept; older ones are deleted. Those on request stay. 0: all.',
  },
  {
    ...{ name: 'post-backup-script', type: { kind: 'path' } },
    help: 'A program run after each snapshot, with its directory as only argument and without a shell. How it ended is kept in the manifest.',
  },
  {
    ...{ name: 'post-backup-timeout', fallback: '600' },
    type: { kind: 'whole', min: 1, max: 86_400, unit: 'seconds' },
    help: 'How long that program may run before it is killed.',
  },
  {
    ...{ name: 'encryption-key', type: { kind: 'text' }, isSecret: true },
    help: 'Encrypts the store, its log and its snapshots. Needed again at every start.',
  },
  {
    ...{ name: 'disable-encryption', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Says that a store without --encryption-key is meant.',
  },
  {
    ...{
      name: 'max-body-size',
      type: { ...BYTES, min: 1024, max: GIBIBYTE },
      fallback: '10485760',
    },
    help: 'The largest request body.',
  },
  {
    ...{ name: 'max-document-size', fallback: '1048576' },
    type: { ...BYTES, min: 1024, max: 64 * 1024 * 1024 },
    help: 'The largest document, as JSON.',
  },
  {
    ...{ name: 'max-keys-per-request', fallback: '1000' },
    type: { kind: 'whole', min: 1, max: 10_000, unit: 'keys' },
    help: 'How many keys or documents one request may name.',
  },
  {
    ...{
      name: 'cache-size',
      type: { ...BYTES, min: 0, max: 1024 * GIBIBYTE },
      fallback: '67108864',
    },
    help: 'Memory for documents read by key; 0 keeps none.',
  },
  {
    ...{ name: 'cert', type: { kind: 'path' }, reloads: true, formerName: 'tls-cert' },
    help: 'The TLS certificate chain, in PEM. Needs --key.',
  },
  {
    ...{ name: 'key', type: { kind: 'path' }, reloads: true, formerName: 'tls-key' },
    help: 'The key of the certificate, in PEM, in a file that only its owner can read.',
  },
  {
    ...{ name: 'client-ca', type: { kind: 'path' }, reloads: true },
    help: 'Certificate authorities, in PEM, whose certificates clients show for mutual TLS. Absent: none is asked for. It lets a client connect; what it may do its credential says.',
  },
  {
    ...{ name: 'client-cert', fallback: 'required' },
    type: { kind: 'choice', choices: ['required', 'optional'] },
    help: 'With --client-ca: whether clients without a certificate are turned away. A bad one is in either case.',
  },
  {
    ...{ name: 'allow-cleartext', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Listens beyond this machine without TLS. Only behind a proxy that has it.',
  },
  {
    ...{ name: 'trusted-proxy', type: { kind: 'list' }, fallback: '' },
    help: 'Addresses or ranges of proxies, such as 10.0.0.0/8. A request from one of them counts as coming from the last address in X-Forwarded-For that is none of them, in rate limits, the audit log and waits after failed logins. Empty: the header is ignored.',
  },
  {
    ...{ name: 'cors-origin', type: { kind: 'list' }, fallback: '', reloads: true },
    help: 'Origins of browsers that may call, exactly as browsers send them. Empty: none.',
  },
  ...EDGE_OPTIONS,
  {
    ...{ name: 'max-query-rows', fallback: '1000' },
    type: { kind: 'whole', min: 1, max: 1000, unit: 'documents' },
    help: 'The most documents on a page. This and the next three are ceilings: `molten query-limits set` lowers them while the server runs.',
  },
  {
    ...{ name: 'max-query-time', fallback: '10000' },
    type: { kind: 'whole', min: 1, max: 3_600_000, unit: 'milliseconds' },
    help: 'How long one query or aggregation may run.',
  },
  {
    ...{ name: 'max-query-scan', fallback: '1000000' },
    type: { kind: 'whole', min: 1, max: 1_000_000_000_000, unit: 'documents' },
    help: 'How many documents one of them may look at.',
  },
  {
    ...{ name: 'max-query-memory', fallback: '134217728' },
    type: { ...BYTES, min: 1024, max: 16 * GIBIBYTE },
    help: 'How much of documents one query may hold to sort them, about.',
  },
  {
    ...{ name: 'max-loop-delay', fallback: '200' },
    type: { kind: 'whole', min: 0, max: 60_000, unit: 'milliseconds' },
    help: 'How late the event loop may be for some time before calls are turned away with OVERLOADED (503), as many as it takes. Health checks and the calls of operators are answered all the same. 0: no bound.',
  },
  {
    ...{ name: 'max-queue-wait', fallback: '1000' },
    type: { kind: 'whole', min: 0, max: 3_600_000, unit: 'milliseconds' },
    help: 'How long a query may wait for a thread, or a write for the writer, before no more are taken until it had its turn. 0: no bound.',
  },
  {
    ...{ name: 'shutdown-delay', fallback: '0' },
    type: { kind: 'whole', min: 0, max: 3600, unit: 'seconds' },
    help: 'How long a server that is told to stop goes on with all calls while /readyz and gRPC health say that it is not ready, so that a load balancer sends it no more. A second signal ends it at once.',
  },
  {
    ...{ name: 'shutdown-timeout', fallback: '30' },
    type: { kind: 'whole', min: 1, max: 3600, unit: 'seconds' },
    help: 'How long archive, audit log and store may take to close, after the five seconds that running calls have. Then the server logs what hangs and kills itself; what it acknowledged as `sync` is kept.',
  },
  {
    ...{ name: 'strict', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Collections must be made before documents are put into them.',
  },
  {
    ...{ name: 'log-level', fallback: 'info', reloads: true },
    type: { kind: 'choice', choices: ['debug', 'info', 'warn', 'error', 'silent'] },
    help: 'The least severe messages that are logged, to standard error.',
  },
  {
    ...{ name: 'debug', type: { kind: 'switch' }, fallback: 'false', reloads: true },
    help: 'The same as --log-level debug.',
  },
  ...OBSERVATION_OPTIONS,
  ...VAULT_OPTIONS,
  {
    ...{ name: 'dev-mode', type: { kind: 'switch' }, fallback: 'false' },
    help: 'For development on this machine only: makes missing secrets and keeps them in the directory of the store, readable by their owner; takes weak passwords with a warning.',
  },
];

/** The environment variable of an option: `MOLTENDB_MAX_BODY_SIZE`. */
export function variableOf(name: string): string {
  return `${VARIABLE_PREFIX}${name.toUpperCase().replaceAll('-', '_')}`;
}

/** Other forms in which an option can be given: a secret from a file, or from Vault. */
export function formsOf({ name, isSecret }: Option): readonly string[] {
  if (isSecret !== true) return [];
  // What opens Vault cannot come from there.
  return name.startsWith('vault-') ? [`${name}-file`] : [`${name}-file`, `${name}-vault`];
}

/** What the variables of all options start with. */
export const VARIABLE_PREFIX = 'MOLTENDB_';

/** The option that names the configuration file; a flag and a variable, but no key of the file. */
export const CONFIG_OPTION: Option = {
  ...{ name: 'config', type: { kind: 'path' } },
  help: 'A TOML file with options as keys. Flags, variables and .env win over it.',
};
