import { readFileSync } from 'node:fs';

import { systemClock } from '../platform/clock.ts';
import { checkValues, createReader, type OptionReader } from './reader.ts';
import { VAULT_REFUSALS } from './refusals/vault.ts';
import { collectValues, type Sources, type VaultAnswer } from './values.ts';
import {
  createVaultClient,
  VaultError,
  type VaultClient,
  type VaultFields,
} from './vault-client.ts';

/**
 * The same sources with what Vault says of the secrets that they name there. Each place is read once, and
 * nothing is asked when nothing is named or Vault is configured in a way that no server starts with.
 */
export async function withVault(sources: Sources): Promise<Sources> {
  const { values, references } = collectValues(sources);
  if (references.length === 0) return sources;
  const read = createReader(checkValues(values).sound);
  const request = { read, nowMs: systemClock.now() };
  const isRefused = VAULT_REFUSALS.some((row) => row.judge(request).length > 0);
  if (isRefused || read.text('vault-address') === undefined) return sources;
  return { ...sources, vault: await readAll(read, new Set(references)) };
}

type Answers = ReadonlyMap<string, VaultAnswer>;

async function readAll(read: OptionReader, references: ReadonlySet<string>): Promise<Answers> {
  const answers = (problem: string): Answers =>
    new Map([...references].map((one) => [one, { problem }]));
  let client: VaultClient;
  let token: string;
  try {
    client = createVaultClient({
      address: read.text('vault-address') ?? '',
      namespace: read.text('vault-namespace'),
      ca: readIf(read.text('vault-ca'), '--vault-ca'),
      timeoutMs: read.whole('vault-timeout'),
    });
    token = await signIn(client, read);
  } catch (error) {
    const way = read.text('vault-auth') ?? '';
    return answers(`cannot be read: signing in to Vault by ${way} failed: ${messageOf(error)}`);
  }
  try {
    return await readEach(client, { token, references, mount: read.text('vault-mount') ?? '' });
  } finally {
    // What was made for this is of no use any more; a token that was given belongs to who gave it.
    if (read.text('vault-auth') !== 'token') await client.revoke(token);
  }
}

async function signIn(client: VaultClient, read: OptionReader): Promise<string> {
  const method = read.text('vault-auth') ?? '';
  if (method === 'token') return read.text('vault-token') ?? '';
  const path = read.text('vault-auth-path') ?? method;
  if (method === 'approle') {
    const roleId = read.text('vault-role-id') ?? '';
    const secretId = read.text('vault-secret-id') ?? '';
    return await client.login({ path, body: { role_id: roleId, secret_id: secretId } });
  }
  const jwt = readIf(read.text('vault-jwt-path'), '--vault-jwt-path')?.trim() ?? '';
  return await client.login({ path, body: { role: read.text('vault-role') ?? '', jwt } });
}

function readIf(path: string | undefined, option: string): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new VaultError(`${option} names '${path}', which cannot be read`);
  }
}

interface Reading {
  readonly token: string;
  readonly mount: string;
  readonly references: ReadonlySet<string>;
}

async function readEach(client: VaultClient, reading: Reading): Promise<Answers> {
  const { token, mount, references } = reading;
  const secrets = new Map<string, VaultFields | VaultError>();
  const answers = new Map<string, VaultAnswer>();
  for (const reference of references) {
    const parsed = parseReference(reference);
    if (parsed === undefined) {
      answers.set(reference, { problem: 'is no reference; write <path>#<field>' });
      continue;
    }
    const { path, field } = parsed;
    const found =
      secrets.get(path) ?? (await client.read(token, { mount, path }).catch(asVaultError));
    secrets.set(path, found);
    const place = { mount, path, field };
    answers.set(
      reference,
      found instanceof VaultError ? { problem: refusalOf(found, place) } : fieldOf(found, place),
    );
  }
  return answers;
}

/** `<path>#<field>`; undefined for anything else. */
function parseReference(
  text: string,
): { readonly path: string; readonly field: string } | undefined {
  const [, path, field] = /^\/?([^#]+?)\/?#([^#]+)$/.exec(text) ?? [];
  if (path === undefined || field === undefined) return undefined;
  const isSound = path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  return isSound ? { path, field } : undefined;
}

interface Place {
  readonly mount: string;
  readonly path: string;
  readonly field: string;
}

function refusalOf({ status, message }: VaultError, { mount, path, field }: Place): string {
  const where = `${mount}/data/${path}`;
  if (status === 404) {
    return `is not in Vault at ${where}; write it: vault kv put -mount=${mount} ${path} ${field}=-`;
  }
  if (status === 403) {
    return `may not be read from Vault at ${where} (403); its policy needs: path "${where}" { capabilities = ["read"] }`;
  }
  return `cannot be read from Vault at ${where}: ${message}`;
}

function fieldOf(fields: VaultFields, { mount, path, field }: Place): VaultAnswer {
  const text = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (typeof text === 'string' && text !== '') return { text };
  const why = text === undefined ? 'has no field' : 'has no text in the field';
  const fix = `vault kv patch -mount=${mount} ${path} ${field}=-`;
  return {
    problem: `names what ${mount}/data/${path} does not hold: it ${why} '${field}'; ${fix}`,
  };
}

function asVaultError(error: unknown): VaultError {
  return error instanceof VaultError ? error : new VaultError(messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
