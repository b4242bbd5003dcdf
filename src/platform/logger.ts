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

/** Members that are never written, wherever they appear: a second lock, for nobody should log them. */
const SECRET_NAMES = [
  ...['authorization', 'cookie', 'set-cookie', 'password', 'rootPassword', 'secret', 'jwtSecret'],
  ...['token', 'accessToken', 'refreshToken', 'apiKey', 'privateKey', 'x-api-key', 'setupToken'],
  ...['currentPassword', 'newPassword', 'encryptionKey', 'clientSecret', 'bindPassword'],
  ...['recoveryCode', 'recoveryCodes', 'challenge', 'otp', 'webhookSecret'],
];

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
  const paths = SECRET_NAMES.flatMap((name) => {
    const member = `["${name}"]`;
    return [member, `*${member}`, `*.*${member}`];
  });
  const options = {
    level,
    base: null,
    redact: { paths, censor: '[redacted]' },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const log = pino(options, destination ?? pino.destination({ fd: 2, sync: true }));
  return {
    get writesDebug() {
      return log.isLevelEnabled('debug');
    },
    setLevel(next) {
      log.level = next;
    },
    debug: (message, fields = {}) => {
      log.debug(fields, message);
    },
    info: (message, fields = {}) => {
      log.info(fields, message);
    },
    warn: (message, fields = {}) => {
      log.warn(fields, message);
    },
    error: (message, fields = {}) => {
      log.error(fields, message);
    },
  };
}
