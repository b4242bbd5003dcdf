import { randomUUID } from 'node:crypto';

import { ResultCodeError, type Client, type Entry } from 'ldapts';

import { DomainError } from '../errors/domain-error.ts';
import { normalizeName } from './distinguished-name.ts';
import { canceled, createProviderGate, unavailable } from './failures.ts';
import { openLdap } from './ldap-connection.ts';
import {
  fillFilter,
  parseLdapOptions,
  type LdapDirectoryOptions,
  type LdapSettings,
} from './ldap-options.ts';
import { GROUPS_MAX, type ExternalIdentity } from './model.ts';

/** A directory that checks passwords (RFC 4511). */
export interface LdapDirectory {
  /**
   * Who the name and the password belong to. Undefined when there is no such user, when several entries
   * have the name, and when the password is wrong, after the same exchange with the directory.
   *
   * PROVIDER_UNAVAILABLE when the directory cannot be asked, RATE_LIMITED when too many wait for it,
   * CANCELED when the signal aborts.
   */
  authenticate(
    username: string,
    password: string,
    signal?: AbortSignal,
  ): Promise<ExternalIdentity | undefined>;
  /**
   * The same exchange, with the same failures, for somebody whom the directory is not asked about: neither
   * name nor password is sent, and it never succeeds.
   */
  pretend(username: string, password: string, signal?: AbortSignal): Promise<void>;
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

const USERNAME_CHARS_MAX = 256;
const PASSWORD_CHARS_MAX = 1024;
const MS_PER_SECOND = 1000;

/** Attributes whose values are bytes; they are read as hex. */
const BINARY = ['objectGUID', 'objectSid'];

/**
 * How directories say no to a password: wrong, none at all, locked or expired, forbidden to this user, gone
 * meanwhile, or a name that no entry can have (RFC 4511, appendix A).
 */
const REFUSALS = new Set([49, 48, 19, 53, 50, 32, 34]);

/** Creates a directory. Connects for each sign-in, never before. ARGUMENT_INVALID for unsafe options. */
export function createLdapDirectory(options: LdapDirectoryOptions): LdapDirectory {
  const settings = parseLdapOptions(options);
  const gate = createProviderGate();
  async function attempt(
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<ExternalIdentity | undefined> {
    const task = async (): Promise<ExternalIdentity | undefined> => {
      try {
        return await signIn(settings, credentials, signal);
      } catch (error) {
        throw translate(settings, error, signal);
      }
    };
    return await gate.run(task, { signal });
  }
  return {
    async authenticate(username, password, signal) {
      if (!isPossible(username, password)) return undefined;
      return await attempt({ username, password }, signal);
    },
    async pretend(username, password, signal) {
      if (!isPossible(username, password)) return;
      await attempt({ username: randomUUID(), password: randomUUID() }, signal);
    },
  };
}

/**
 * An empty password would bind as nobody, and many directories call that a success (RFC 4513, section
 * 5.1.2); some cut a password at its first NUL and arrive at the same.
 */
function isPossible(username: string, password: string): boolean {
  if (username === '' || username.length > USERNAME_CHARS_MAX) return false;
  if (password === '' || password.length > PASSWORD_CHARS_MAX) return false;
  return username.isWellFormed() && !username.includes('\0') && !password.includes('\0');
}

async function signIn(
  settings: LdapSettings,
  { username, password }: Credentials,
  signal: AbortSignal | undefined,
): Promise<ExternalIdentity | undefined> {
  await using connection = await openLdap(settings, signal);
  const { client } = connection;
  await bindService(client, settings);
  const entry = await findUser(client, settings, username);
  const dn = entry?.dn ?? `cn=${randomUUID()},${settings.userBase}`;
  const isRight = await isAccepted(client, dn, password);
  if (entry === undefined || !isRight) return undefined;
  return await describe(client, settings, entry);
}

async function bindService(client: Client, { name, service }: LdapSettings): Promise<void> {
  try {
    await client.bind(service.dn, service.password);
  } catch (error) {
    if (!(error instanceof ResultCodeError)) throw error;
    throw unavailable(name, 'does not let this server in; check its service account', error);
  }
}

/** The one entry of the name; a name that two entries have is nobody's. */
async function findUser(
  client: Client,
  settings: LdapSettings,
  username: string,
): Promise<Entry | undefined> {
  const { subject, ...others } = settings.attributes;
  const { searchEntries } = await client.search(settings.userBase, {
    scope: 'sub',
    filter: fillFilter(settings.userFilter, { username }),
    attributes: [...Object.values(others), ...(subject === undefined ? [] : [subject])],
    explicitBufferAttributes: BINARY,
    sizeLimit: 2,
    timeLimit: Math.ceil(settings.operationTimeoutMs / MS_PER_SECOND),
  });
  const [entry] = searchEntries;
  return searchEntries.length === 1 && entry?.dn !== '' ? entry : undefined;
}

async function isAccepted(client: Client, dn: string, password: string): Promise<boolean> {
  try {
    await client.bind(dn, password);
    return true;
  } catch (error) {
    if (error instanceof ResultCodeError && REFUSALS.has(error.code)) return false;
    throw error;
  }
}

async function describe(
  client: Client,
  settings: LdapSettings,
  entry: Entry,
): Promise<ExternalIdentity> {
  const { name, url, attributes } = settings;
  const username = required(settings, entry, attributes.username);
  return {
    provider: name,
    issuer: url,
    subject:
      attributes.subject === undefined
        ? (normalizeName(entry.dn) ?? entry.dn)
        : required(settings, entry, attributes.subject),
    username,
    displayName: valuesOf(entry, attributes.displayName)[0] ?? '',
    email: valuesOf(entry, attributes.email)[0] ?? '',
    // Whether somebody has looked, or the user wrote it, a directory does not say.
    isEmailVerified: false,
    groups: await readGroups(client, settings, { entry, username }),
  };
}

/** What the entry lists, and what a search finds: as the service account, which the user is not. */
async function readGroups(
  client: Client,
  settings: LdapSettings,
  { entry, username }: { readonly entry: Entry; readonly username: string },
): Promise<readonly string[]> {
  const { name, groupBase, groupFilter, attributes } = settings;
  const listed = valuesOf(entry, attributes.groups);
  // Active Directory hands very long lists out in parts, under names such as `memberOf;range=0-1499`.
  const part = `${attributes.groups};range=`.toLowerCase();
  if (Object.keys(entry).some((key) => key.toLowerCase().startsWith(part))) throw tooMany(name);
  const found: string[] = [];
  if (groupBase !== undefined) {
    await bindService(client, settings);
    const { searchEntries } = await client.search(groupBase, {
      scope: 'sub',
      filter: fillFilter(groupFilter, { dn: entry.dn, username }),
      attributes: ['1.1'],
      sizeLimit: GROUPS_MAX + 1,
      timeLimit: Math.ceil(settings.operationTimeoutMs / MS_PER_SECOND),
    });
    found.push(...searchEntries.map(({ dn }) => dn));
  }
  const groups = [...new Set([...listed, ...found])];
  if (groups.length > GROUPS_MAX) throw tooMany(name);
  return groups;
}

function tooMany(name: string): DomainError {
  return unavailable(name, `lists more than ${GROUPS_MAX} groups; narrow its group filter`);
}

function required({ name }: LdapSettings, entry: Entry, attribute: string): string {
  const [value] = valuesOf(entry, attribute);
  if (value === undefined || value === '') {
    throw unavailable(name, `has entries without the attribute '${attribute}'; name another`);
  }
  return value;
}

/** The values of an attribute, whose name directories may write in another case. */
function valuesOf(entry: Entry, attribute: string): readonly string[] {
  const wanted = attribute.toLowerCase();
  const [, value = []] = Object.entries(entry).find(([key]) => key.toLowerCase() === wanted) ?? [];
  const values: readonly (string | Buffer)[] = Array.isArray(value) ? value : [value];
  return values.map((one) => (typeof one === 'string' ? one : one.toString('hex')));
}

function translate(
  { name }: LdapSettings,
  error: unknown,
  signal: AbortSignal | undefined,
): DomainError {
  if (signal?.aborted === true) return canceled();
  if (error instanceof DomainError) return error;
  return unavailable(name, 'cannot be reached or failed; try again later', error);
}
