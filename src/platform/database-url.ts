/**
 * The address of a PostgreSQL, as an option gives it. One reader for who judges a configuration and who opens
 * a store, so that both refuse the same.
 */
import { nearest } from './nearest.ts';

/** Where a database is, and how it is reached. */
export interface DatabaseUrl {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** The schema that holds the tables. */
  readonly schema: string;
  readonly isEncrypted: boolean;
  /** A file of certificates to trust, in PEM. */
  readonly certificates: string | undefined;
}

/** What is wrong with an address, and what to do. */
export interface UrlProblem {
  readonly why: string;
  readonly fix: string;
}

const PROTOCOLS: readonly string[] = ['postgres:', 'postgresql:'];
const PORT = 5432;
const SCHEMA = 'molten';
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/;
const MODES: readonly string[] = ['disable', 'verify-full'];
const LOCAL_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];
const FORM = 'write postgres://user@host:port/database';

/** What each parameter may be. */
const PARAMETERS: Readonly<
  Record<string, { isGood(value: string): boolean; readonly fix: string }>
> = {
  schema: {
    isGood: (value) => SCHEMA_NAME.test(value),
    fix: 'write 1 to 63 of a-z 0-9 _, beginning with no digit',
  },
  sslmode: {
    isGood: (value) => MODES.includes(value),
    fix: `write ${MODES.join(' or ')}; verify-full is meant for another machine when nothing is said`,
  },
  sslrootcert: { isGood: (value) => value !== '', fix: 'write the path of a file in PEM' },
};

/**
 * Reads `postgres://user@host:port/database?schema=…&sslmode=…&sslrootcert=…`, or finds everything that is
 * wrong with it. TLS that is verified is meant wherever nothing is said and the host is another machine.
 */
export function readDatabaseUrl(text: string): DatabaseUrl | readonly UrlProblem[] {
  const url = URL.parse(text);
  if (url === null || !PROTOCOLS.includes(url.protocol) || url.hostname === '') {
    return [{ why: 'is no address of a PostgreSQL', fix: FORM }];
  }
  const [user, database] = [decode(url.username), decode(url.pathname.slice(1))];
  const problems = [...problemsOf(url), ...problemsOfParameters(url.searchParams)];
  if (problems.length > 0 || user === undefined || database === undefined) return problems;
  const { searchParams: parameters } = url;
  const isLocal = LOCAL_HOSTS.includes(url.hostname);
  const mode = parameters.get('sslmode') ?? (isLocal ? 'disable' : 'verify-full');
  return {
    ...{ host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || PORT) },
    ...{ database, user, schema: parameters.get('schema') ?? SCHEMA },
    ...{
      isEncrypted: mode !== 'disable',
      certificates: parameters.get('sslrootcert') ?? undefined,
    },
  };
}

/** Whether it is an address, and no list of problems. */
export function isDatabaseUrl(read: DatabaseUrl | readonly UrlProblem[]): read is DatabaseUrl {
  return 'host' in read;
}

function problemsOf({ username, password, pathname }: URL): readonly UrlProblem[] {
  const problems: UrlProblem[] = [];
  if (password !== '') {
    const why = 'holds a password, which shows wherever the address does';
    problems.push({ why, fix: 'give it as --storage-password-file, or in its variable' });
  }
  for (const [what, part] of [
    ['user', username],
    ['database', pathname.slice(1)],
  ] as const) {
    if (part === '') problems.push({ why: `names no ${what}`, fix: FORM });
    else if (decode(part) === undefined) {
      problems.push({ why: `names a ${what} with a % that is no escape`, fix: 'write %25' });
    }
  }
  return problems;
}

function problemsOfParameters(parameters: URLSearchParams): readonly UrlProblem[] {
  const names = Object.keys(PARAMETERS);
  return [...new Set(parameters.keys())].flatMap((name): readonly UrlProblem[] => {
    const rule = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
    if (rule === undefined) {
      const near = nearest(name, names);
      const fix = near === undefined ? `known are ${names.join(', ')}` : `did you mean '${near}'?`;
      return [{ why: `has the unknown parameter '${name.slice(0, 64)}'`, fix }];
    }
    const values = parameters.getAll(name);
    if (values.length > 1) return [{ why: `has '${name}' more than once`, fix: 'write it once' }];
    const [value = ''] = values;
    return rule.isGood(value)
      ? []
      : [{ why: `has the ${name} '${value.slice(0, 64)}'`, fix: rule.fix }];
  });
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
