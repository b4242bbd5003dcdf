import { pino, type DestinationStream } from 'pino';

/** What is logged along with a message. Never a credential, a password or a document body. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging, one JSON object a line. */
export interface Logger {
  /** Whether `debug` writes; asked where making the fields would cost. */
  readonly writesDebug?: boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** A logger whose level can change while it is in use. */
export interface LeveledLogger extends Logger {
  setLevel(level: LogLevel): void;
}

/** The least severe level that is written. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * Names of members that are never written, in small letters and without `-` and `_`: a second lock, for nobody
 * should log them. `storagePassword`, `X-Api-Key` and `refresh_tokens` are among them.
 */
const SECRET_NAME =
  /(authorization|cookie|password|passwordhash|passphrase|pwd|secret|token|tokenvalue|jwt|totp|credential|(api|private|secret|access|signing|encryption)key|recoverycode)s?$|^(otp|challenge)$/;
const REDACTED = '[redacted]';
/** In the place of what throws when it is read. */
const UNREADABLE = '[unreadable]';
/** Members of members are written down to here. */
const DEPTH_MAX = 8;
const TOO_DEEP = '[too deep]';

/**
 * Creates a logger. Writes to standard error unless a destination is given, so that standard output
 * stays for what a command answers.
 */
export function createLogger({
  level,
  destination,
}: {
  readonly level: LogLevel;
  readonly destination?: DestinationStream;
}): LeveledLogger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const log = pino(options, destination ?? pino.destination({ fd: 2, sync: true }));
  const write =
    (as: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields: LogFields = {}) => {
      // Before the library, which reads members too, and lets through what they throw.
      if (log.isLevelEnabled(as)) log[as](redactMembers(fields), message);
    };
  return {
    get writesDebug() {
      return log.isLevelEnabled('debug');
    },
    setLevel(next) {
      log.level = next;
    },
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
}

/** A copy without secrets, whatever is below what and however names are written. */
function redactMembers(fields: object, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(fields).map((name) => {
      const isSecret = SECRET_NAME.test(name.toLowerCase().replaceAll(/[-_]/g, ''));
      return [
        name,
        isSecret ? REDACTED : read(() => redact((fields as LogFields)[name], depth + 1)),
      ];
    }),
  );
}

/** Getters and `toJSON` may throw; whoever logs does not fail by that. */
function read(value: () => unknown): unknown {
  try {
    return value();
  } catch {
    return UNREADABLE;
  }
}

function redact(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEPTH_MAX) return TOO_DEEP;
  if (Array.isArray(value)) return value.map((item) => read(() => redact(item, depth + 1)));
  if (value instanceof Error) return String(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    return redact((value.toJSON as () => unknown)(), depth + 1);
  }
  return redactMembers(value, depth);
}
