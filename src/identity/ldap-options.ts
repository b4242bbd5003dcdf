import { Filter, FilterParser } from 'ldapts';

import { isLoopback } from '../platform/loopback.ts';
import { misconfigured } from './failures.ts';

/** How a directory is reached and read. */
export interface LdapDirectoryOptions {
  /** The provider's name in the configuration. */
  readonly name: string;
  /** `ldaps://host:port` or `ldap://host:port`. */
  readonly url: string;
  /** Turns a connection of `ldap://` into one with TLS before anything is sent. */
  readonly startTls?: boolean;
  /** The certificates to trust, as PEM; absent: those of the system. */
  readonly caPem?: string;
  /** Passwords may cross a network unencrypted. Without it, that is refused except on loopback. */
  readonly allowCleartext?: boolean;
  /** Whom the search runs as; absent: anonymous. */
  readonly service?: { readonly dn: string; readonly password: string };
  readonly userBase: string;
  /** A filter (RFC 4515) with `{username}`, such as `(uid={username})`. */
  readonly userFilter: string;
  /** What names a user for ever, such as `entryUUID` or `objectGUID`; absent: the distinguished name. */
  readonly subjectAttribute?: string;
  /** Absent: `uid`. */
  readonly usernameAttribute?: string;
  /** Absent: `cn`. */
  readonly displayNameAttribute?: string;
  /** Absent: `mail`. */
  readonly emailAttribute?: string;
  /** Where the entry of a user lists its groups; absent: `memberOf`. */
  readonly groupAttribute?: string;
  /** Where groups are searched for besides; absent: nowhere. */
  readonly groupBase?: string;
  /** A filter with `{dn}` or `{username}`; absent: `(member={dn})`. */
  readonly groupFilter?: string;
  /** Until TCP and until TLS stand. Absent: 5 seconds. */
  readonly connectTimeoutMs?: number;
  /** Per operation. Absent: 10 seconds. */
  readonly operationTimeoutMs?: number;
}

/** Options with nothing left open. */
export interface LdapSettings {
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly security: 'ldaps' | 'starttls' | 'none';
  readonly caPem: string | undefined;
  readonly service: { readonly dn: string; readonly password: string };
  readonly userBase: string;
  readonly userFilter: string;
  readonly attributes: LdapAttributes;
  readonly groupBase: string | undefined;
  readonly groupFilter: string;
  readonly connectTimeoutMs: number;
  readonly operationTimeoutMs: number;
}

/** The names of the attributes of a user that are read. */
export interface LdapAttributes {
  /** Undefined: the distinguished name. */
  readonly subject: string | undefined;
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  readonly groups: string;
}

const PORT = 389;
const PORT_TLS = 636;
const CONNECT_TIMEOUT_MS = 5000;
const OPERATION_TIMEOUT_MS = 10_000;

/** Checks the options of a directory. ARGUMENT_INVALID for what cannot work or is not safe. */
export function parseLdapOptions(options: LdapDirectoryOptions): LdapSettings {
  const { name, userBase, userFilter, groupFilter = '(member={dn})' } = options;
  checkFilter(name, userFilter, ['username']);
  checkFilter(name, groupFilter, ['dn', 'username']);
  return {
    ...{ name, userBase, userFilter, groupFilter },
    ...parseServer(options),
    caPem: options.caPem,
    service: parseService(options),
    attributes: {
      subject: options.subjectAttribute,
      username: options.usernameAttribute ?? 'uid',
      displayName: options.displayNameAttribute ?? 'cn',
      email: options.emailAttribute ?? 'mail',
      groups: options.groupAttribute ?? 'memberOf',
    },
    groupBase: options.groupBase,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    operationTimeoutMs: options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS,
  };
}

/** A filter with the values in place of their names, escaped (RFC 4515, section 3). */
export function fillFilter(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (text, name: string) => {
    const value = values[name];
    return value === undefined ? text : Filter.escape(value);
  });
}

function parseServer(
  options: LdapDirectoryOptions,
): Pick<LdapSettings, 'url' | 'host' | 'port' | 'security'> {
  const url = URL.parse(options.url);
  if (url === null || !['ldap:', 'ldaps:'].includes(url.protocol) || url.hostname === '') {
    throw misconfigured(options.name, 'needs a URL such as ldaps://ldap.example.com');
  }
  const security = parseSecurity(options, url);
  const portDefault = security === 'ldaps' ? PORT_TLS : PORT;
  return {
    url: `${url.protocol}//${url.host}`,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? portDefault : Number(url.port),
    security,
  };
}

function parseSecurity(
  { name, startTls = false, allowCleartext = false }: LdapDirectoryOptions,
  { protocol, hostname }: URL,
): LdapSettings['security'] {
  if (protocol === 'ldaps:') {
    if (startTls) throw misconfigured(name, 'cannot have both ldaps:// and StartTLS');
    return 'ldaps';
  }
  if (startTls) return 'starttls';
  if (!allowCleartext && !isLoopback(hostname)) {
    throw misconfigured(name, 'would send passwords unencrypted: use ldaps:// or StartTLS');
  }
  return 'none';
}

/** A name without a password would bind as nobody, and seem to succeed (RFC 4513, section 5.1.2). */
function parseService({
  name,
  service = { dn: '', password: '' },
}: LdapDirectoryOptions): LdapSettings['service'] {
  if ((service.dn === '') !== (service.password === '')) {
    throw misconfigured(name, 'needs both the name and the password of its service account');
  }
  return service;
}

function checkFilter(provider: string, template: string, names: readonly string[]): void {
  const isUsed = names.some((name) => template.includes(`{${name}}`));
  if (!isUsed) throw misconfigured(provider, `needs {${names.join('} or {')}} in its filter`);
  try {
    FilterParser.parseString(fillFilter(template, Object.fromEntries(names.map((n) => [n, n]))));
  } catch {
    throw misconfigured(provider, `has a filter that is none (RFC 4515): ${template}`);
  }
}
