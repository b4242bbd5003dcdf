#!/usr/bin/env node
/**
 * Makes a clone ready to run, on whatever Node (18 or newer) the machine has.
 *
 * Installs the packages when `node_modules` is missing or was filled for another lockfile, and links
 * `node_modules/.bin/molten` to this clone. The packages bring the Node release that every npm script
 * then runs on. With nothing to do it takes a few milliseconds: one hash and two look-ups.
 *
 * `npm install` and not `npm ci`: where a registry lacks an optional platform build, `npm ci` refuses
 * the lockfile. `--no-save` keeps the committed lockfile as it is in that case.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 18;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const EXIT_FAILED = 1;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.molten-install');

bootstrap();

function bootstrap() {
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
    fail(
      `Node ${process.versions.node} is too old to install with; ${NODE_MAJOR_MIN} or newer is needed`,
    );
    return;
  }
  if (!isInstalled() && !install()) return;
  linkCommand();
}

/** The packages fit when the lockfile, the platform and the runtime are those of the last install. */
function isInstalled() {
  return (
    existsSync(stampFile) &&
    readFileSync(stampFile, 'utf8') === stamp() &&
    existsSync(runtimeFile())
  );
}

function stamp() {
  const lockfile = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  return `${lockfile} ${process.platform} ${process.arch}\n`;
}

function runtimeFile() {
  return join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Installs the packages and reports whether that worked; a failure is one line on stderr. */
function install() {
  process.stderr.write('molten: installing packages (about a minute the first time)\n');
  const [command, ...prefix] = npmCommand();
  const args = [
    ...prefix,
    'install',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--include=dev',
    '--loglevel=error',
  ];
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
    shell: command === 'npm.cmd',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (result.error !== undefined) return fail(`npm could not be started: ${result.error.message}`);
  if (result.status !== 0) return fail(`npm install failed: ${firstCause(result.stderr)}`);
  if (!existsSync(runtimeFile())) {
    return fail(
      'npm installed no Node runtime for this platform; allow the install script of the `node` package',
    );
  }
  writeFileSync(stampFile, stamp());
  return true;
}

/** The npm that runs this script when there is one, otherwise the npm on the PATH. */
function npmCommand() {
  const running = process.env.npm_execpath;
  if (running !== undefined && basename(running) === 'npm-cli.js')
    return [process.execPath, running];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
}

/** npm prints a code first and the reason after it; both belong in the one line. */
function firstCause(stderr) {
  const lines = stderr
    .split('\n')
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!)\s*/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('A complete log'));
  return `${lines.slice(0, 3).join('; ') || 'no reason given'} (run \`npm install\` to see everything)`;
}

/** npm links the commands of dependencies, but not the command of the project itself. */
function linkCommand() {
  const folder = join(modules, '.bin');
  const link = join(folder, 'molten');
  if (process.platform === 'win32') {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${link}.cmd`, '@node "%~dp0\\..\\..\\bin\\molten.js" %*\r\n');
    return;
  }
  const target = join('..', '..', 'bin', 'molten.js');
  if (readLink(link) === target) return;
  mkdirSync(folder, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

function readLink(path) {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function fail(message) {
  process.stderr.write(`molten: ${message}\n`);
  process.exitCode = EXIT_FAILED;
  return false;
}
