import type { Stats } from 'node:fs';

import { isGuessablePassword } from '../../platform/guessable-passwords.ts';
import { isLoopback } from '../../platform/loopback.ts';
import { OPTIONS } from '../options.ts';
import type { OptionReader } from '../reader.ts';
import { findFile, findIf, type Finding, type Refusal } from '../refusal.ts';

const SECRET_BYTES_MIN = 32;
/** Guesses of it are slow: it is stretched before it opens anything. */
const ENCRYPTION_KEY_BYTES_MIN = 16;
const DISTINCT_CHARS_MIN = 8;
const PASSWORD_CHARS_MIN = 12;
/** Bits of a mode by which others than the owner reach a file, and those but for reading by its group. */
const MODE_OF_OTHERS = 0o077;
const MODE_BEYOND_GROUP = 0o037;
const ROOT = 0;
/** Passwords and secrets that stand in examples everywhere. */
const PLACEHOLDER =
  /^(change-?me|secret|password|passw0rd|admin|root|test|example|moltendb|12345678)[\w!@#$%^&*.-]{0,12}$/i;

/** What stands in examples to be replaced, wherever in a secret. */
const TO_BE_REPLACED =
  /change[-_ ]?(me|this|it|in)|replace[-_ ]?(me|this|with)|\byour[-_]|placeholder|example|insecure|[-_]at[-_]least[-_]/i;

/** The names of all options that are secrets. */
export const SECRETS: readonly string[] = OPTIONS.filter(({ isSecret }) => isSecret).map(
  ({ name }) => name,
);

/** Whether a password of the root user is one that is guessed first. */
export function isWeak(password: string, read: OptionReader): boolean {
  const isShort = password.length < PASSWORD_CHARS_MIN;
  const isGuessed = PLACEHOLDER.test(password) || isGuessablePassword(password);
  return isShort || isGuessed || password === read.text('root-user');
}

/** Refusals about secrets: missing, weak, used twice, or in files that others can read. */
export const SECRET_REFUSALS: readonly Refusal[] = [
  {
    name: 'signing secret given',
    when: '`--jwt-secret` missing, without `--dev-mode`.',
    judge: ({ read }) =>
      findIf(read.text('jwt-secret') === undefined && !read.switch('dev-mode'), {
        option: 'jwt-secret',
        why: 'is missing',
        fix: `give at least ${String(SECRET_BYTES_MIN)} random bytes, or use --dev-mode`,
      }),
  },
  {
    name: 'signing secret strong',
    when: '`--jwt-secret` or `--jwt-secret-previous` shorter than 32 bytes, or a placeholder: words of examples such as `change-me`, few different characters, or `0123…`.',
    judge: ({ read }) =>
      ['jwt-secret', 'jwt-secret-previous'].flatMap((option) => judgeRandom(read, option)),
  },
  {
    name: 'set-up token strong',
    when: '`--setup-token` shorter than 32 bytes, or a placeholder.',
    judge: ({ read }) => judgeRandom(read, 'setup-token'),
  },
  {
    name: 'set-up closed to others',
    when: '`--host` beyond this machine with neither `--root-password` nor `--setup-token`: whoever comes first could take the server.',
    judge({ read }) {
      const isGiven = ['root-password', 'setup-token'].some(
        (name) => read.text(name) !== undefined,
      );
      return findIf(!isGiven && !isLoopback(read.text('host') ?? '') && !read.switch('dev-mode'), {
        option: 'root-password',
        why: 'is missing, and whoever comes first could give one',
        fix: 'give it, or --setup-token, or use --dev-mode',
      });
    },
  },
  {
    name: 'root password strong',
    when: '`--root-password` shorter than 12 characters, in a list of common passwords, or the name of the user; with `--dev-mode` that is only warned about.',
    judge({ read }) {
      const password = read.text('root-password');
      if (password === undefined || read.switch('dev-mode')) return [];
      return findIf(isWeak(password, read), {
        option: 'root-password',
        why: 'is weak',
        fix: `give at least ${String(PASSWORD_CHARS_MIN)} characters that are not in every list`,
      });
    },
  },
  {
    name: 'encryption key meant',
    when: '`--encryption-key` given together with `--disable-encryption`.',
    judge({ read }) {
      const isDenied = read.switch('disable-encryption') && !read.switch('dev-mode');
      return findIf(read.text('encryption-key') !== undefined && isDenied, {
        option: 'encryption-key',
        why: 'is given together with --disable-encryption',
        fix: 'give one of them',
      });
    },
  },
  {
    name: 'encryption key strong',
    when: '`--encryption-key` shorter than 16 bytes, or a placeholder, with `--host` beyond this machine; on this machine that is only warned about. A store that has such a key is given another by `molten encryption change-password`, which takes the old one as it is.',
    judge({ read }) {
      const why = encryptionKeyProblem(read);
      if (why === undefined || isLoopback(read.text('host') ?? '') || read.switch('dev-mode')) {
        return [];
      }
      const way = 'molten encryption change-password --new-encryption-key-file <file>';
      const fix = `make a random one; a store that has this one is given it by: ${way}`;
      return [{ option: 'encryption-key', why, fix }];
    },
  },
  {
    name: 'each secret for one purpose',
    when: 'The same secret for two purposes, such as `--jwt-secret` and `--encryption-key`.',
    judge: ({ read }) => judgeShared(read),
  },
  {
    name: 'secret files private',
    when: 'A file that holds a secret (`--<name>-file`, `--key`, or the TOML or `.env` with a secret in it) that others than its owner can read, without `--dev-mode`. A file of root may be read by its group where the server is not root: that is how Kubernetes and systemd hand out secrets.',
    judge: ({ read }) => (read.switch('dev-mode') ? [] : judgeFiles(read)),
  },
];

/** What is wrong with the encryption key; undefined for nothing, and where there is none. */
export function encryptionKeyProblem(read: OptionReader): string | undefined {
  const key = read.text('encryption-key');
  if (key === undefined) return undefined;
  if (Buffer.byteLength(key) < ENCRYPTION_KEY_BYTES_MIN) {
    return 'is short and could be guessed by who has a copy of the store';
  }
  return isPlaceholder(key) ? 'looks like a placeholder' : undefined;
}

/** Judges a secret that nobody has to remember: it must be long, and look random. */
export function judgeRandom(read: OptionReader, option: string): readonly Finding[] {
  const secret = read.text(option);
  if (secret === undefined) return [];
  if (Buffer.byteLength(secret) < SECRET_BYTES_MIN) {
    const why = `is shorter than ${String(SECRET_BYTES_MIN)} bytes and could be guessed`;
    return [{ option, why, fix: 'make a random one' }];
  }
  return findIf(isPlaceholder(secret), {
    ...{ option, why: 'looks like a placeholder', fix: 'make a random one' },
  });
}

/** Whether a secret is one of an example, or was typed and not made. */
function isPlaceholder(secret: string): boolean {
  const isFlat = new Set(secret).size < DISTINCT_CHARS_MIN || isSequence(secret);
  return isFlat || PLACEHOLDER.test(secret) || TO_BE_REPLACED.test(secret);
}

/** Half of it counts up: 0123…, abcd…. */
function isSequence(secret: string): boolean {
  const codes = [...Buffer.from(secret)];
  const steps = codes.filter((code, at) => code === (codes[at - 1] ?? 0) + 1);
  return steps.length * 2 >= codes.length;
}

function judgeShared(read: OptionReader): readonly Finding[] {
  const owners = new Map<string, string>();
  const findings: Finding[] = [];
  for (const option of SECRETS) {
    const secret = read.text(option);
    if (secret === undefined) continue;
    const owner = owners.get(secret);
    if (owner === undefined) owners.set(secret, option);
    else {
      const why = `is the same as --${owner}: who learns one has both`;
      findings.push({ option, why, fix: 'make another for each purpose' });
    }
  }
  return findings;
}

function judgeFiles(read: OptionReader): readonly Finding[] {
  const files = new Map<string, string>();
  for (const option of SECRETS) {
    const file = read.file(option);
    if (file !== undefined && !files.has(file)) files.set(file, option);
  }
  const key = read.text('key');
  if (key !== undefined) files.set(key, 'key');
  return [...files].flatMap(([file, option]) => judgeFile(file, option));
}

function judgeFile(file: string, option: string): readonly Finding[] {
  const found = statsOf(file);
  const user = process.geteuid?.();
  if (found === undefined || isPrivate(found, user)) return [];
  const shown = (found.mode & 0o777).toString(8);
  const mended = isOfRootAlone(found.uid, user) ? '640' : '600';
  const why = `is in '${file}', which others can read (mode ${shown})`;
  return [{ option, why, fix: `chmod ${mended} ${file}` }];
}

/**
 * Whether a file of secrets is for this user alone. Where the server is not root it has no file of root but
 * by its group, which whoever runs it has made for that: `fsGroup` in Kubernetes, LoadCredential of systemd.
 */
export function isPrivate(
  { mode, uid }: Pick<Stats, 'mode' | 'uid'>,
  user: number | undefined,
): boolean {
  return (mode & (isOfRootAlone(uid, user) ? MODE_BEYOND_GROUP : MODE_OF_OTHERS)) === 0;
}

function isOfRootAlone(owner: number, user: number | undefined): boolean {
  return owner === ROOT && user !== ROOT;
}

/** Undefined where files have no modes, and for a file that is not there, which is told elsewhere. */
function statsOf(file: string): Stats | undefined {
  return process.platform === 'win32' ? undefined : findFile(file);
}
