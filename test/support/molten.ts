import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { overhearSecret, overhearStart, overhearText } from './overheard.ts';

/** How a command ended. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The `molten` command of this tree, run as a user runs it. */
export interface Molten {
  (...args: readonly string[]): Promise<CommandResult>;
  /** Runs with a text on standard input. */
  fed(input: string | Uint8Array, ...args: readonly string[]): Promise<CommandResult>;
  /** Runs and answers what it prints, on either stream; an answer is a line of standard input. */
  converse(
    answer: (printed: string) => Promise<string | undefined>,
    ...args: readonly string[]
  ): Promise<CommandResult>;
  /** Runs with `--json` and returns what it says. */
  json<T = never>(...args: readonly string[]): Promise<T>;
}

/** Commands that read a password from standard input. */
const ASKS_FOR_SECRETS =
  /^(login|setup|password|encryption|second-factor|users (create|set-password))\b/;

/** The path of the command. */
export const MOLTEN: string = fileURLToPath(new URL('../../bin/molten.js', import.meta.url));

/** A command line with a configuration directory of its own. */
export function createMolten(
  configHome: string,
  variables: Readonly<Record<string, string>> = {},
): Molten {
  const start = (
    args: readonly string[],
    talk: (child: ChildProcessWithoutNullStreams) => void,
  ): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      overhearStart(args, variables);
      const child = spawn(process.execPath, [MOLTEN, ...args], {
        env: {
          PATH: process.env['PATH'],
          XDG_CONFIG_HOME: configHome,
          HOME: configHome,
          ...variables,
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.once('error', reject);
      child.once('close', (code) => {
        overhearText(stdout);
        resolve({ code: code ?? -1, stdout, stderr });
      });
      // A command that ends before it has read its input is no failure of the test.
      child.stdin.on('error', () => undefined);
      talk(child);
    });
  const fed = (input: string | Uint8Array, ...args: readonly string[]): Promise<CommandResult> => {
    if (ASKS_FOR_SECRETS.test(args.join(' '))) {
      for (const line of String(input).split('\n')) overhearSecret(line);
    }
    return start(args, ({ stdin }) => stdin.end(input));
  };
  const run = (...args: readonly string[]): Promise<CommandResult> => fed('', ...args);
  return Object.assign(run, {
    fed,
    converse: (
      answer: (printed: string) => Promise<string | undefined>,
      ...args: readonly string[]
    ) =>
      start(args, ({ stdin, stdout, stderr }) => {
        const hear = (text: string): void => {
          void answer(text).then((line) => line !== undefined && stdin.write(`${line}\n`));
        };
        stdout.on('data', hear);
        stderr.on('data', hear);
      }),
    async json<T>(...args: readonly string[]): Promise<T> {
      const { code, stdout, stderr } = await run(...args, '--json');
      if (code !== 0)
        throw new Error(`molten ${args.join(' ')} ended with ${String(code)}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
  });
}
