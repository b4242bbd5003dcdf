/**
 * The one table of what forbids a start. `molten serve`, `molten config check`, `molten doctor` and the
 * reference of the configuration all read it.
 */
import { isLoopback } from '../platform/loopback.ts';
import type { Fault } from './faults.ts';
import { MASK, maskUrls, shownValue } from './mask-urls.ts';
import { OPTIONS } from './options.ts';
import type { OptionReader } from './reader.ts';
import type { Refusal, StartRequest } from './refusal.ts';
import { FILE_REFUSALS } from './refusals/files.ts';
import { IDENTITY_REFUSALS } from './refusals/identity.ts';
import { NETWORK_REFUSALS } from './refusals/network.ts';
import { OBSERVATION_REFUSALS } from './refusals/observation.ts';
import { STORAGE_REFUSALS } from './refusals/storage.ts';
import { encryptionKeyProblem, isWeak, SECRET_REFUSALS, SECRETS } from './refusals/secrets.ts';
import { VAULT_REFUSALS } from './refusals/vault.ts';
import { inspectTls } from './tls-files.ts';

/** The table: each row names the options it blames, why, and how to mend it. */
export const REFUSALS: readonly Refusal[] = [
  ...SECRET_REFUSALS,
  ...NETWORK_REFUSALS,
  ...FILE_REFUSALS,
  ...IDENTITY_REFUSALS,
  ...OBSERVATION_REFUSALS,
  ...STORAGE_REFUSALS,
  ...VAULT_REFUSALS,
];

/** One row of the table, applied. */
export interface JudgedRow {
  readonly name: string;
  readonly faults: readonly Fault[];
}

/** What forbids a start, and what is only said. */
export interface Verdict {
  /** Every row of the table, with what it has against the start. */
  readonly rows: readonly JudgedRow[];
  readonly warnings: readonly string[];
}

const DAY_MS = 86_400_000;
const RENEWAL_DAYS = 14;
/** What a reason quotes may be a part of the value, in which a password is no more known for one. */
const FROM_QUOTE = /'.*/s;

function faultsOf(refusal: Refusal, { read, nowMs }: StartRequest): readonly Fault[] {
  return refusal.judge({ read, nowMs }).map(({ option, why, fix }) => {
    const told = mayBeQuoted(option, read) ? why : why.replace(FROM_QUOTE, `'${MASK}'`);
    return { key: read.origin(option), problem: maskUrls(`${told}; ${fix}`) };
  });
}

function mayBeQuoted(name: string, read: OptionReader): boolean {
  const option = OPTIONS.find((one) => one.name === name);
  const text = read.text(name);
  // No reason quotes a secret; what it quotes is the file that holds it.
  if (option === undefined || option.isSecret === true || text === undefined) return true;
  return shownValue(option, text) !== MASK;
}

/** Judges a start by the table. */
export function refusals(request: StartRequest): Verdict {
  return {
    rows: REFUSALS.map((one) => ({ name: one.name, faults: faultsOf(one, request) })),
    warnings: warningsOf(request),
  };
}

function warningsOf(request: StartRequest): readonly string[] {
  const { read } = request;
  const warnings = read.switch('dev-mode') ? developmentWarnings(read) : productionWarnings(read);
  return [
    ...warnings,
    ...(read.list('cors-origin').includes('*')
      ? ['any web page may call this server (--cors-origin *)']
      : []),
    ...expiryWarnings(request),
    ...SECRETS.filter((name) => read.origin(name) === `--${name}`)
      .filter((name) => read.text(name) !== undefined)
      .map(
        (name) => `--${name} shows in the list of processes; use its variable or --${name}-file`,
      ),
  ];
}

function developmentWarnings(read: OptionReader): readonly string[] {
  const password = read.text('root-password');
  return [
    'this is development mode: never use it where others can reach it',
    ...(password !== undefined && isWeak(password, read) ? ['the root password is weak'] : []),
    ...(read.switch('disable-encryption') ? ['the store is not encrypted'] : []),
  ];
}

function productionWarnings(read: OptionReader): readonly string[] {
  const key = read.text('encryption-key');
  const problem = encryptionKeyProblem(read);
  return [
    ...(read.text('root-password') === undefined
      ? ['there is no --root-password: nobody can sign in until the set-up is completed, once']
      : []),
    ...(key === undefined && read.text('storage-url') === undefined
      ? ['the store is not encrypted; give --encryption-key for that']
      : []),
    ...(isReachedInCleartext(read) && read.list('trusted-proxy').length === 0
      ? [
          '--trusted-proxy is missing: behind a proxy that ends TLS callers cannot be told apart, and a ban of one is a ban of all; name the address of the proxy there',
        ]
      : []),
    ...(problem !== undefined && isLoopback(read.text('host') ?? '')
      ? [`--encryption-key ${problem}; no server beyond this machine starts with it`]
      : []),
  ];
}

function isReachedInCleartext(read: OptionReader): boolean {
  const isRemote = !isLoopback(read.text('host') ?? '');
  return isRemote && read.switch('allow-cleartext') && read.text('cert') === undefined;
}

function expiryWarnings({ read, nowMs }: StartRequest): readonly string[] {
  const { certificate } = inspectTls(read);
  if (certificate === undefined) return [];
  const days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
  return days < RENEWAL_DAYS && days >= 0
    ? [`the certificate expires in ${String(days)} days; renew it`]
    : [];
}
