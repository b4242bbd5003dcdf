import { isDeepStrictEqual } from 'node:util';

import type { LoadedConfig } from '../config/load.ts';
import { OPTIONS } from '../config/options.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { RunningServer } from './start.ts';

/** What of a configuration changes while the server runs. */
export type LiveSettings = Pick<
  ServerConfig,
  'corsOrigins' | 'rateLimit' | 'rates' | 'bans' | 'logLevel' | 'tls'
>;

/** Reads the configuration of a running server again. */
export type Reload = () => void;

/**
 * Creates it. What can change without a restart is taken over; for the rest the log names the options
 * that wait for one, never their values. A configuration that could not start a server changes nothing.
 */
export function createReload(
  server: RunningServer,
  started: LoadedConfig,
  load: () => LoadedConfig,
): Reload {
  let settings = liveSettings(started.config);
  return () => {
    try {
      const next = load();
      const before = settings;
      const after = liveSettings(next.config);
      server.apply(after);
      settings = after;
      const needsRestart = waiting(started, next);
      const changed = Object.keys(after).filter(
        (name) => !isDeepStrictEqual(settingOf(before, name), settingOf(after, name)),
      );
      const level = needsRestart.length > 0 ? 'warn' : 'info';
      server.logger[level]('the configuration was reloaded', { changed, needsRestart });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      server.logger.error('the configuration was not reloaded, nothing has changed', { problem });
    }
  };
}

function liveSettings(config: ServerConfig): LiveSettings {
  const { corsOrigins, rateLimit, rates, bans, logLevel, tls } = config;
  return { corsOrigins, rateLimit, rates, bans, logLevel, tls };
}

function settingOf(settings: LiveSettings, name: string): unknown {
  return settings[name as keyof LiveSettings];
}

/** The options that differ from those the server started with, and cannot change while it runs. */
function waiting(started: LoadedConfig, next: LoadedConfig): readonly string[] {
  const [before, after] = [started.config.tls, next.config.tls];
  const fixed = [
    ...((before === undefined) === (after === undefined) ? [] : ['cert', 'key']),
    // Whether clients are asked for a certificate is settled when the port is opened.
    ...((before?.clients === undefined) === (after?.clients === undefined) ? [] : ['client-ca']),
  ];
  return OPTIONS.filter(
    ({ name, reloads }) =>
      (reloads !== true || fixed.includes(name)) &&
      started.values.get(name)?.text !== next.values.get(name)?.text,
  ).map(({ name }) => name);
}
