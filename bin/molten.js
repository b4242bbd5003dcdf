#!/usr/bin/env node
/**
 * The `molten` command.
 *
 * On a Node below the floor it starts itself again on the Node that the packages bring, and passes on
 * signals and the exit code; so it does as the first process of a container, which no signal ends that it has not asked for, not even
 * its own. A server becomes the same process with the options for V8 that must be there from its beginning. In a clone it first
 * compiles the sources when `dist` does not fit them.
 * Plain JavaScript without imports from the product, so that any Node can read it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FLOOR = [22, 12];
/** Marks the second start, so that a wrong runtime cannot start itself for ever. */
const MARK = 'MOLTEN_RESTARTED';
const SIGNAL_BASE = 128;
/**
 * Options for V8 that a server needs from its beginning. Left to itself V8 makes objects of a place in the code in old space once many
 * from there lived long, and then collects for four times as long until it ends; see docs/decisions/0024.
 */
const SERVER_OPTIONS = ['--no-allocation-site-pretenuring'];
/** The process that a container begins with. */
const INIT = 1;

const here = fileURLToPath(import.meta.url);
const root = dirname(dirname(here));

if (!isNewEnough(process.versions.node)) restartOnNewer();
else if (process.pid === INIT && process.env[MARK] === undefined) restart(process.execPath);
else {
  becomeServer();
  await run();
}

function isNewEnough(release) {
  const [major, minor] = release.split('.').map(Number);
  return major > FLOOR[0] || (major === FLOOR[0] && minor >= FLOOR[1]);
}

async function run() {
  // A reader that has seen enough, such as `head`, is no failure.
  process.stdout.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error;
    process.kill(process.pid, 'SIGTERM');
  });
  // A reload for a server that has read nothing yet: it reads everything soon. It must not end it.
  if (process.argv[2] === 'serve' && !process.stdin.isTTY) process.on('SIGHUP', () => {});
  const builder = join(root, 'scripts', 'build.mjs');
  if (existsSync(builder) && existsSync(join(root, 'src'))) {
    try {
      (await import('../scripts/build.mjs')).ensureBuilt();
    } catch (error) {
      return fail(error.message);
    }
  }
  if (!existsSync(join(root, 'dist', 'cli', 'bin', 'run.js')))
    return fail('nothing is built; run `npm run build`');
  await import('../dist/cli/bin/run.js');
}

function restartOnNewer() {
  const runtime = join(
    root,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  if (process.env[MARK] !== undefined || !existsSync(runtime)) {
    return fail(
      `Node ${process.versions.node} is too old; run \`npm install\` here, or use Node ${FLOOR.join('.')} or newer`,
    );
  }
  restart(runtime);
}

/**
 * Becomes the same process with the options of a server, where that can be done: not on Windows, on Node before 22.15, where Node
 * is forbidden to start programs, or with a channel to a parent, which would be lost.
 */
function becomeServer() {
  if (missingOptions().length === 0 || process.channel || !process.execve) return;
  // It tells that it is an experiment, on the output of errors; as the process goes on as another one, nobody hears.
  try {
    process.execve(process.execPath, [process.execPath, ...commandLine()], process.env);
  } catch {
    // It serves all the same, only slower at times.
  }
}

function missingOptions() {
  const isServer = process.argv[2] === 'serve';
  return isServer ? SERVER_OPTIONS.filter((option) => !process.execArgv.includes(option)) : [];
}

/** What was given comes last, so that it counts where it says otherwise. */
function commandLine() {
  return [...missingOptions(), ...process.execArgv, here, ...process.argv.slice(2)];
}

function restart(runtime) {
  const child = spawn(runtime, commandLine(), {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  // A terminal sends Ctrl+C and hang-ups to the whole group: passing them on would count them twice.
  const fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGHUP'] : [];
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) {
    if (process.platform === 'win32' && signal === 'SIGUSR2') continue;
    process.on(signal, () => {
      if (!fromTerminal.includes(signal)) child.kill(signal);
    });
  }
  child.on('error', (error) => fail(error.message));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? SIGNAL_BASE + (signalNumber(signal) ?? 0);
  });
}

function signalNumber(signal) {
  return {
    SIGHUP: 1,
    SIGINT: 2,
    SIGQUIT: 3,
    SIGABRT: 6,
    SIGKILL: 9,
    SIGSEGV: 11,
    SIGPIPE: 13,
    SIGTERM: 15,
  }[signal];
}

function fail(message) {
  process.stderr.write(`molten: ${message}\n`);
  process.exitCode = 1;
}
