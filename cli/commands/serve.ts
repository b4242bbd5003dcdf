import { Command, Flags, type Interfaces } from '@oclif/core';

import { environment } from '../../src/config/environment.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { CONFIG_OPTION, OPTIONS, variableOf } from '../../src/config/options.ts';
import type { Option } from '../../src/config/option.ts';
import type { FlagValues } from '../../src/config/values.ts';
import { startServer, type RunningServer } from '../../src/server/start.ts';

/** What a shell gives when a command line or a configuration cannot be used. */
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;

type AnyFlag = Interfaces.FlagInput[string];

function flagOf({ type, help, fallback, isSecret }: Option, name: string): AnyFlag {
  const shown = fallback === undefined || fallback === '' ? '' : ` [default: ${fallback}]`;
  const description = `${help}${isSecret === true ? '' : shown} [variable: ${variableOf(name)}]`;
  if (type.kind === 'switch') return Flags.boolean({ description, allowNo: true });
  return Flags.string({
    description,
    ...(type.kind === 'choice' ? { options: type.choices } : {}),
  });
}

const FLAGS: Interfaces.FlagInput = Object.fromEntries(
  [...OPTIONS, CONFIG_OPTION].flatMap((option) => {
    const { name, isSecret } = option;
    const own = [name, flagOf(option, name)] as const;
    if (isSecret !== true) return [own];
    const fromFile = { ...option, isSecret: false, help: `A file that holds --${name}.` };
    return [own, [`${name}-file`, flagOf(fromFile, `${name}-file`)] as const];
  }),
);

/** Runs a server until it is told to stop. */
export default class Serve extends Command {
  static override readonly summary = 'Run a server.';
  static override readonly description =
    'Listens until it gets SIGINT or SIGTERM; then running calls end, and the store is closed. A second signal ends it at once.';
  static override readonly flags: Interfaces.FlagInput = FLAGS;
  static override readonly examples: string[] = [
    '<%= config.bin %> serve --dev-mode',
    '<%= config.bin %> serve --config molten.toml',
  ];

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    const loaded = this.#load(flags as FlagValues);
    for (const warning of loaded.warnings) this.logToStderr(`warning: ${warning}`);
    const server = await this.#start(loaded);
    this.log(greeting(server, loaded));
    await untilTold();
    await server.close();
    // A worker or a socket that will not end must not keep a server that was told to.
    this.exit(0);
  }

  #load(flags: FlagValues): LoadedConfig {
    try {
      return loadConfig({ flags, environment: environment() });
    } catch (error) {
      if (error instanceof ConfigError) this.error(error.message, { exit: EXIT_USAGE });
      throw error;
    }
  }

  async #start({ config }: LoadedConfig): Promise<RunningServer> {
    try {
      return await startServer(config);
    } catch (error) {
      this.error(explain(error), { exit: EXIT_FAILURE });
    }
  }
}

/** Waits for the first signal. The next one finds no listener, and ends the process at once. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    const told = (): void => {
      process.off('SIGINT', told).off('SIGTERM', told);
      resolve();
    };
    process.on('SIGINT', told).on('SIGTERM', told);
  });
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'EADDRINUSE')
    return `${error.message}; another process listens there, choose another --port`;
  if (code === 'EACCES') return `${error.message}; this user may not do that`;
  return error.message;
}

function greeting({ url }: RunningServer, { config, development }: LoadedConfig): string {
  const kind = config.encryptionKey === undefined ? 'cleartext' : 'encrypted';
  const password = development === undefined ? '' : `, password in ${development.passwordFile}`;
  return [
    `MoltenDB listens on ${url}`,
    `  store     ${config.dbPath} (${kind})`,
    `  user      ${config.rootUser}${password}`,
    `  read      ${url}/docs`,
    `  try       curl -s ${url}/v1/health`,
    ...(development === undefined
      ? [`            molten login ${url}`]
      : [`            npx molten login ${url} --password-file ${development.passwordFile}`]),
  ].join('\n');
}
