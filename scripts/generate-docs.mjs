/**
 * Writes the reference pages that come from the code: options, metrics and commands. With `--check` it writes
 * nothing and fails when a page is not what the code says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Config } from '@oclif/core';
import { format } from 'prettier';

import { describeOptions } from '../src/config/describe.ts';
import { describeMetrics } from '../src/platform/metric-catalogue.ts';
import { ensureBuilt } from './build.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
/** The flags of a server's configuration, which have a page of their own. */
const CONFIGURATION = 'CONFIGURATION';
const LEFT_OUT = ['GLOBAL', CONFIGURATION];
const isCheck = process.argv.includes('--check');

ensureBuilt();
await produce('docs/reference/configuration.md', describeOptions());
await produce('docs/reference/metrics.md', describeMetrics());
await produce('docs/reference/cli.md', await describeCommands());

async function produce(file, text) {
  const path = join(root, file);
  const wanted = await format(text, { parser: 'markdown', proseWrap: 'preserve' });
  if (!isCheck) {
    writeFileSync(path, wanted);
    return;
  }
  if (readOrNothing(path) === wanted) return;
  process.stderr.write(`${file} is out of date; run \`npm run docs\` and commit the result\n`);
  process.exitCode = 1;
}

function readOrNothing(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

async function describeCommands() {
  const config = await Config.load(root);
  const own = config.commands
    .filter((command) => command.pluginName === config.pjson.name)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const head = [
    '# Command line',
    '',
    'Commands take `--json`, for scripts; not `serve`, which runs on, nor `watch` and `audit follow`, which print one JSON',
    'document a line anyway. Answers go to standard output, everything else to standard error. On a terminal rows are a table,',
    'otherwise one JSON document a line. With `--json` a failure is `{"error": {"message", "exitCode"}}`, with `reason`,',
    '`metadata` and `violations` when a call has failed.',
    '',
    '`molten login` keeps a token in `$XDG_CONFIG_HOME/molten/profiles.json`, readable by its owner only, and shows it to no',
    'server but the one it is from. Secrets come from a prompt, from a file (`--password-file`, `--code-file`) or from standard',
    'input (`--password-stdin`, `--code-stdin`; several of them take a line each, in the order they are asked for), never from an',
    'argument; but for `serve` and the commands that open a store themselves, which also have flags for theirs, though others',
    'on the machine can read those. `MOLTEN_PASSWORD` stands in for the password of the caller; `MOLTEN_URL` and `MOLTEN_TOKEN`',
    'for a profile. `MOLTEN_TOKEN` holds a token or an API key. Other standard input is read only where `-` says so.',
    '`MOLTEN_CLIENT_CERT` and `MOLTEN_CLIENT_KEY` name the files, in PEM, of a certificate for servers that ask for one;',
    '`NODE_EXTRA_CA_CERTS` those of private authorities that servers are believed by.',
    '`molten autocomplete` sets up completion for bash, zsh and PowerShell.',
    '',
    '## Exit codes',
    '',
    '| code | meaning |',
    '| --- | --- |',
    '| 0 | done |',
    '| 1 | failed |',
    '| 2 | the command line or the configuration cannot be used |',
    '| 3 | the request is invalid |',
    '| 4 | not signed in, or not allowed |',
    '| 5 | not found |',
    '| 6 | conflict: it exists, or changed meanwhile |',
    '| 7 | a limit was reached |',
    '| 8 | the server cannot be reached, or cannot serve now |',
    '| 9 | what is stored is damaged |',
    '',
    '## Commands',
    '',
  ];
  return [...head, ...own.flatMap(describeCommand)].join('\n');
}

function describeCommand(command) {
  const name = command.id.replaceAll(':', ' ');
  const args = Object.values(command.args).map(({ name: arg, required }) =>
    required ? `<${arg}>` : `[${arg}]`,
  );
  const flags = Object.values(command.flags).filter(
    ({ name: flag, helpGroup }) => flag !== 'json' && !LEFT_OUT.includes(helpGroup),
  );
  const isConfigured = Object.values(command.flags).some(
    ({ helpGroup }) => helpGroup === CONFIGURATION,
  );
  return [
    `### \`molten ${[name, ...args].join(' ')}\``,
    '',
    command.summary ?? '',
    '',
    ...(command.description === undefined ? [] : [command.description, '']),
    ...Object.values(command.args).map(
      ({ name: arg, description }) => `- \`${arg}\`: ${description}`,
    ),
    ...flags.map(describeFlag),
    ...(isConfigured ? ['', 'Takes every flag of the [configuration](configuration.md).'] : []),
    '',
  ];
}

/** A line for a flag: how it is given, what it is for, and what holds without it. */
function describeFlag({ name, type, allowNo, default: standard, description }) {
  const given = allowNo ? `--[no-]${name}` : `--${name}`;
  const isSaid =
    type === 'option' && ['string', 'number'].includes(typeof standard) && standard !== '';
  return `- \`${given}\`: ${description}${isSaid ? ` Default: \`${standard}\`.` : ''}`;
}
