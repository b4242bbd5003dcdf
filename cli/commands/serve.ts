import { Command, type Interfaces } from '@oclif/core';

import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { withVault } from '../../src/config/vault.ts';
import { createReload, type Reload } from '../../src/server/reload.ts';
import { startServer, StillOpen, type RunningServer } from '../../src/server/start.ts';
import { configFlags, readLine, sourcesOf } from '../lib/config-flags.ts';
import { EXIT } from '../lib/exit-codes.ts';

/** What development mode is for, by what it is not. */
const NEVER = 'never use it where others can reach it';

/** Runs a server until it is told to stop. */
export default class Serve extends Command {
  static override readonly summary = 'Run a server.';
  static override readonly description =
    'Listens until it gets SIGINT or SIGTERM; then running calls end, and the store is closed. A second signal ends it at once. Exit code 0, or SIGKILL (137 to a shell) when it could not be closed within --shutdown-timeout. SIGHUP reads the configuration again.';
  static override readonly flags: Interfaces.FlagInput = configFlags;
  static override readonly examples: string[] = [
    '<%= config.bin %> serve --dev-mode',
    '<%= config.bin %> serve --config molten.toml',
  ];

  async run(): Promise<void> {
    const afterStart = onHangUp();
    const line = await readLine(() => this.parse(Serve));
    // Read once: what changes there is taken over with a restart.
    const { vault } = await withVault(sourcesOf(line));
    const load = (): LoadedConfig =>
      loadConfig({ ...sourcesOf(line), ...(vault === undefined ? {} : { vault }) });
    const loaded = this.#load(load);
    for (const warning of loaded.warnings) this.logToStderr(`warning: ${warning}`);
    const server = await this.#start(loaded);
    if (loaded.development !== undefined) server.logger.warn(`development mode: ${NEVER}`);
    // Whoever reads that it listens may tell it to end at once.
    const told = untilTold();
    this.log(greeting(server, loaded));
    afterStart(createReload(server, loaded, load));
    await told;
    await close(server);
    // A worker or a socket that will not end must not keep a server that was told to.
    this.exit(0);
  }

  #load(load: () => LoadedConfig): LoadedConfig {
    try {
      return load();
    } catch (error) {
      if (error instanceof ConfigError) this.error(error.message, { exit: EXIT.usage });
      throw error;
    }
  }

  async #start({ config }: LoadedConfig): Promise<RunningServer> {
    try {
      return await startServer(config);
    } catch (error) {
      this.error(explain(error), { exit: EXIT.failure });
    }
  }
}

/**
 * A terminal that closes ends what it ran; anybody else who sends SIGHUP wants a reload. One that comes
 * before there is anything to reload is kept for whoever brings that.
 */
function onHangUp(): (reload: Reload) => void {
  let isWanted = false;
  let reload: Reload = () => {
    isWanted = true;
  };
  if (!process.stdin.isTTY) {
    process.on('SIGHUP', () => {
      reload();
    });
  }
  return (ready) => {
    reload = ready;
    if (isWanted) ready();
  };
}

/** Closes the server; ends the process with SIGKILL when it cannot be closed in time. */
async function close(server: RunningServer): Promise<void> {
  try {
    await server.close();
  } catch (error) {
    if (!(error instanceof StillOpen)) throw error;
    server.logger.error('the server did not close in time and is killed', { open: error.open });
    // To exit would be to wait for a thread that hangs in the system.
    process.kill(process.pid, 'SIGKILL');
    // Nothing more is to be said of it.
    await new Promise<never>(() => undefined);
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
    return `${error.message}; another process listens there, choose another --port or --metrics-port`;
  if (code === 'EACCES') return `${error.message}; this user may not do that`;
  return error.message;
}

function greeting({ url }: RunningServer, { config, development }: LoadedConfig): string {
  const kind = config.encryptionKey === undefined ? 'cleartext' : 'encrypted';
  const store = config.storage?.url ?? `${config.dbPath} (${kind})`;
  const password = development === undefined ? '' : `, password in ${development.passwordFile}`;
  const tries =
    development === undefined
      ? [`curl -s ${url}/v1/health`, `molten login ${url}`]
      : [
          ...curlFirst(url, config.rootUser, development.passwordFile),
          `npx molten login ${url} --password-file ${development.passwordFile}`,
        ];
  return [
    `MoltenDB listens on ${url}`,
    ...(development === undefined ? [] : [`  mode      development: ${NEVER}`]),
    `  store     ${store}`,
    `  user      ${config.rootUser}${password}`,
    `  read      ${url}/docs`,
    ...tries.map((line, at) => `  ${at === 0 ? 'try' : '   '}       ${line}`),
  ].join('\n');
}

/** Two lines for a shell: the first logs in, the second reads. */
function curlFirst(url: string, user: string, passwordFile: string): readonly string[] {
  const body = `{\\"username\\":\\"${user}\\",\\"password\\":\\"$(cat '${passwordFile}')\\"}`;
  return [
    `TOKEN=$(curl -s ${url}/login -H 'content-type: application/json' -d "${body}" | cut -d '"' -f 4)`,
    `curl -s ${url}/v1/status -H "authorization: Bearer $TOKEN"`,
  ];
}
